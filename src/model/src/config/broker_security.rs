//! Broker keys: authorization, delegation tokens and TLS.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "authorizer.class.name" String = "" [Low]
        "Class that decides who may do what; empty means everyone everything.";
    "delegation.token.expiry.check.interval.ms" Long = "3600000" [Low at_least(1)]
        "Milliseconds between two sweeps of expired delegation tokens.";
    "delegation.token.expiry.time.ms" Long = "86400000" [Medium at_least(1)]
        "Milliseconds until a delegation token must be renewed.";
    "delegation.token.max.lifetime.ms" Long = "604800000" [Medium at_least(1)]
        "Milliseconds after which a delegation token cannot be renewed any more.";
    "delegation.token.secret.key" Password [Medium]
        "Secret that delegation tokens are signed with; the same on every node.";
    "principal.builder.class" Class = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"
        [Medium per_broker]
        "Class that makes a principal of an authenticated connection.";
    "security.providers" String [Low]
        "Classes of additional security providers.";
    "ssl.allow.dn.changes" Boolean = "false" [Low]
        "Whether a reloaded certificate may carry another distinguished name.";
    "ssl.allow.san.changes" Boolean = "false" [Low]
        "Whether a reloaded certificate may carry other alternative names.";
    "ssl.cipher.suites" List = "" [Medium per_broker any_of(&[])]
        "TLS cipher suites allowed; empty leaves it to the library.";
    "ssl.client.auth" String = "none" [Medium per_broker one_of(&["required", "requested", "none"])]
        "Whether clients must show a certificate: `required`, `requested` (may), or `none`.";
    "ssl.enabled.protocols" List = "TLSv1.2,TLSv1.3" [Medium per_broker any_of(&[])]
        "TLS versions allowed.";
    "ssl.endpoint.identification.algorithm" String = "https" [Low per_broker]
        "How a server's name is checked against its certificate; empty checks nothing.";
    "ssl.engine.factory.class" Class [Low per_broker]
        "Class that makes TLS engines.";
    "ssl.key.password" Password [Medium per_broker]
        "Password of the private key.";
    "ssl.keymanager.algorithm" String = "SunX509" [Medium per_broker]
        "Algorithm of the key manager.";
    "ssl.keystore.certificate.chain" Password [Medium per_broker]
        "Certificate chain as PEM text.";
    "ssl.keystore.key" Password [Medium per_broker]
        "Private key as PEM text (PKCS#8).";
    "ssl.keystore.location" String [Medium per_broker]
        "File that holds key and certificate.";
    "ssl.keystore.password" Password [Medium per_broker]
        "Password of that key file.";
    "ssl.keystore.type" String = "JKS" [Medium per_broker]
        "Format of the key file, such as `JKS`, `PKCS12` or `PEM`.";
    "ssl.principal.mapping.rules" String = "DEFAULT" [Low]
        "Rules that turn a certificate's distinguished name into a user name; the first that matches \
         counts.";
    "ssl.protocol" String = "TLSv1.3" [Medium per_broker]
        "TLS version a new context is made for.";
    "ssl.provider" String [Medium per_broker]
        "Security provider for TLS.";
    "ssl.secure.random.implementation" String [Low per_broker]
        "Random number generator for TLS.";
    "ssl.trustmanager.algorithm" String = "PKIX" [Medium per_broker]
        "Algorithm of the trust manager.";
    "ssl.truststore.certificates" Password [Medium per_broker]
        "Trusted certificates as PEM text.";
    "ssl.truststore.location" String [Medium per_broker]
        "File of trusted certificates.";
    "ssl.truststore.password" Password [Medium per_broker]
        "Password of that trust file.";
    "ssl.truststore.type" String = "JKS" [Medium per_broker]
        "Format of the trust file.";
}
