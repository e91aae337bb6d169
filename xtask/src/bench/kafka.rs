//! Kafka from Maven Central: its jars, its configuration, its command line.

use super::system::{Places, SETTINGS};
use std::{ffi::OsString, fs, path::Path, process::Command};

pub const VERSION: &str = "4.3.1";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// A cluster id is needed, which one does not matter.
const CLUSTER: &str = "Zmx1bWVuLXZlcnN1cy0wMQ";
/// The heap and the collector of Kafka's own start script.
const JVM: [&str; 7] = [
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-Djava.awt.headless=true",
];
const LOGGING: &str = r#"<Configuration status="ERROR"><Appenders><Console name="out" target="SYSTEM_ERR">
<PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"#;

/// Fetches the jars, if they are not there.
pub fn fetch(places: &Places) -> Result<(), String> {
    let dir = places.scratch.join("kafka");
    // What was asked for last, to its end.
    if fs::read_to_string(dir.join("complete")).ok() == Some(pom()) {
        return Ok(());
    }
    fs::create_dir_all(&dir).map_err(|e| format!("making {}: {e}", dir.display()))?;
    write(&dir.join("pom.xml"), &pom())?;
    write(&dir.join("log4j2.xml"), LOGGING)?;
    println!("fetching Kafka {VERSION} from Maven Central");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", COPY, "-DoutputDirectory=libs"]).current_dir(&dir);
    run(maven)?;
    write(&dir.join("complete"), &pom())
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>\n"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.kafka", "kafka-tools", VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.3"),
    ];
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>flumen</groupId><artifactId>versus</artifactId><version>1</version>\
         <packaging>pom</packaging>\n<dependencies>\n{}</dependencies></project>\n",
        dependencies.concat()
    )
}

/// Writes the configuration and formats an empty data directory.
pub fn format(places: &Places, data: &Path, port: u16) -> Result<(), String> {
    let controller = port + 1;
    let configuration = format!(
        "process.roles=broker,controller\n\
         node.id=0\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         socket.listen.backlog.size=4096\n\
         log.initial.task.delay.ms=5000\n\
         {}\n",
        data.display(),
        SETTINGS.join("\n"),
    );
    write(&properties(places), &configuration)?;
    let mut format = Command::new("java");
    format.args(classes(places)).args(["kafka.tools.StorageTool", "format", "--standalone"]);
    format.args(["-t", CLUSTER, "-c"]).arg(properties(places));
    run(format)
}

/// The command that starts the broker.
pub fn command_line(places: &Places) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["java".into()];
    line.extend(JVM.map(OsString::from));
    line.extend(classes(places));
    line.push("kafka.Kafka".into());
    line.push(properties(places).into());
    line
}

fn properties(places: &Places) -> std::path::PathBuf {
    places.scratch.join("kafka/server.properties")
}

/// Options of the virtual machine for Kafka's jars, its log on standard error.
pub fn classes(places: &Places) -> Vec<OsString> {
    let dir = places.scratch.join("kafka");
    let logging = format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.xml").display());
    vec![logging.into(), "-cp".into(), format!("{}/libs/*", dir.display()).into()]
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("writing {}: {e}", path.display()))
}

/// Runs a command; on failure, what it said.
pub fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("starting {name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(format!("{name} failed with {}: {}", output.status, said.trim()))
}
