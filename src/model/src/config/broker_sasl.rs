//! Broker keys: SASL.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "sasl.client.callback.handler.class" Class [Medium]
        "Class that answers SASL questions where this node is the client.";
    "sasl.enabled.mechanisms" List = "GSSAPI" [Medium per_broker any_of(&[])]
        "SASL mechanisms that clients may use.";
    "sasl.jaas.config" Password [Medium per_broker]
        "Login settings in JAAS form, for one listener and mechanism.";
    "sasl.kerberos.kinit.cmd" String = "/usr/bin/kinit" [Medium per_broker]
        "Path of the `kinit` program.";
    "sasl.kerberos.min.time.before.relogin" Long = "60000" [Medium per_broker]
        "Milliseconds between two attempts to refresh a Kerberos login.";
    "sasl.kerberos.principal.to.local.rules" List = "DEFAULT" [Medium per_broker any_of(&[])]
        "Rules that turn a Kerberos principal into a user name; the first that matches counts.";
    "sasl.kerberos.service.name" String [Medium per_broker]
        "Name of the Kerberos service that brokers run as.";
    "sasl.kerberos.ticket.renew.jitter" Double = "0.05" [Medium per_broker]
        "Random share added to the time at which a ticket is renewed.";
    "sasl.kerberos.ticket.renew.window.factor" Double = "0.8" [Medium per_broker]
        "Share of a ticket's life after which it is renewed.";
    "sasl.login.callback.handler.class" Class [Medium]
        "Class that answers questions at login.";
    "sasl.login.class" Class [Medium]
        "Class that performs the login.";
    "sasl.login.connect.timeout.ms" Int [Low]
        "Milliseconds to connect to an outside identity provider.";
    "sasl.login.read.timeout.ms" Int [Low]
        "Milliseconds to wait for an outside identity provider's answer.";
    "sasl.login.refresh.buffer.seconds" Short = "300" [Medium per_broker]
        "Seconds before expiry that a credential is kept clear of, when its refresh is planned.";
    "sasl.login.refresh.min.period.seconds" Short = "60" [Medium per_broker]
        "Seconds that a credential is used at least before it is refreshed.";
    "sasl.login.refresh.window.factor" Double = "0.8" [Medium per_broker]
        "Share of a credential's life after which it is refreshed.";
    "sasl.login.refresh.window.jitter" Double = "0.05" [Medium per_broker]
        "Random share added to the time of that refresh.";
    "sasl.login.retry.backoff.max.ms" Long = "10000" [Low]
        "Longest pause in milliseconds between login attempts.";
    "sasl.login.retry.backoff.ms" Long = "100" [Low]
        "First pause in milliseconds between login attempts.";
    "sasl.mechanism.controller.protocol" String = "GSSAPI" [High]
        "SASL mechanism used towards controllers.";
    "sasl.mechanism.inter.broker.protocol" String = "GSSAPI" [Medium per_broker]
        "SASL mechanism used among brokers.";
    "sasl.oauthbearer.assertion.algorithm" String = "RS256" [Medium
        valid(Valid::OneOfAnyCase(&["ES256", "RS256"]))]
        "Algorithm that the client's assertion is signed with.";
    "sasl.oauthbearer.assertion.claim.aud" String [Medium]
        "Audience put into the assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds" Int = "300" [Low between(0, 86_400)]
        "Seconds that an assertion is good for.";
    "sasl.oauthbearer.assertion.claim.iss" String [Medium]
        "Issuer put into the assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include" Boolean = "false" [Medium]
        "Whether each assertion gets an id of its own.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds" Int = "60" [Low between(0, 3_600)]
        "Seconds by which an assertion is valid before its issue, for clocks that differ.";
    "sasl.oauthbearer.assertion.claim.sub" String [Medium]
        "Subject put into the assertion.";
    "sasl.oauthbearer.assertion.file" String [Medium]
        "File of a ready-made assertion, read again when it changes.";
    "sasl.oauthbearer.assertion.private.key.file" String [Medium]
        "PEM file of the key that signs assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase" Password [Medium]
        "Passphrase of that key file.";
    "sasl.oauthbearer.assertion.template.file" String [Medium]
        "File of further claims and headers for the assertion.";
    "sasl.oauthbearer.client.credentials.client.id" String [Medium]
        "Client id for the token endpoint.";
    "sasl.oauthbearer.client.credentials.client.secret" Password [Medium]
        "Client secret for the token endpoint.";
    "sasl.oauthbearer.clock.skew.seconds" Int = "30" [Low]
        "Seconds that clocks may differ when a token's times are checked.";
    "sasl.oauthbearer.expected.audience" List = "" [High any_of(&[])]
        "Audiences of which a token must name one.";
    "sasl.oauthbearer.expected.issuer" String [High]
        "Issuer that a token must name.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long = "3600000" [Low]
        "Milliseconds between two fetches of the token keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long = "10000" [Low]
        "Longest pause in milliseconds before a failed fetch of token keys is tried again.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long = "100" [Low]
        "First pause in milliseconds before a failed fetch of token keys is tried again.";
    "sasl.oauthbearer.jwks.endpoint.url" String [Medium]
        "URL of the keys that tokens are checked with.";
    "sasl.oauthbearer.jwt.retriever.class" Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"
        [Medium]
        "Class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class" Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"
        [Medium]
        "Class that checks tokens.";
    "sasl.oauthbearer.scope" String [Medium]
        "Scope asked for at the token endpoint.";
    "sasl.oauthbearer.scope.claim.name" String = "scope" [Low]
        "Claim of a token that holds the scope.";
    "sasl.oauthbearer.sub.claim.name" String = "sub" [Low]
        "Claim of a token that holds the user.";
    "sasl.oauthbearer.token.endpoint.url" String [Medium]
        "URL to get tokens from.";
    "sasl.server.callback.handler.class" Class [Medium]
        "Class that answers SASL questions where this node is the server.";
    "sasl.server.max.receive.size" Int = "524288" [Medium]
        "Largest SASL token accepted from a client, in bytes.";
}
