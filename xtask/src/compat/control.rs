//! Test programs that stop, kill and start brokers, in whatever language they are.
//!
//! A program finds a directory in `COMPAT_CONTROL`. It puts a file `request` there, in one step, with a line
//! `BROKER VERB`, and waits for a file `answer`, which it removes: `ok ADDRESS DATA`, or `failed: why`. The brokers
//! are `tested`, which runs when the program begins, and `kafka`, an Apache Kafka with the same settings and a
//! directory of its own, which is there for programs that ask for it. The verbs are `start`, `stop` (SIGTERM, and
//! waited for) and `kill` (SIGKILL).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Job;
use super::broker::{Broker, Kind, free_port};

pub struct Control<'a> {
    job: &'a Job<'a>,
    directory: PathBuf,
    kafka: Option<Broker>,
}

impl<'a> Control<'a> {
    pub fn new(job: &'a Job<'a>) -> Result<Self, String> {
        let directory = job.scratch.join("control");
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        Ok(Self { job, directory, kafka: None })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Does what was asked for since the last call, if anything was.
    pub fn serve(&mut self) -> Result<(), String> {
        let request = self.directory.join("request");
        let text = match fs::read_to_string(&request) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{}: {error}", request.display())),
        };
        let answer = match self.obey(text.trim()) {
            Ok(place) => format!("ok {place}\n"),
            Err(why) => format!("failed: {why}\n"),
        };
        let new = self.directory.join("answer.new");
        fs::remove_file(&request)
            .and_then(|()| fs::write(&new, answer))
            .and_then(|()| fs::rename(&new, self.directory.join("answer")))
            .map_err(|e| format!("{}: {e}", self.directory.display()))
    }

    fn obey(&mut self, request: &str) -> Result<String, String> {
        match request.split_once(' ') {
            Some(("tested", verb)) => command(&mut self.job.broker.borrow_mut(), verb),
            Some(("kafka", verb)) => command(self.kafka()?, verb),
            _ => Err(format!("unknown request \"{request}\"")),
        }
    }

    /// The second broker, configured when it is asked for first.
    fn kafka(&mut self) -> Result<&mut Broker, String> {
        let kafka = match self.kafka.take() {
            Some(kafka) => kafka,
            None => {
                let (scratch, logs) = (self.job.scratch.join("kafka"), self.job.logs.join("kafka"));
                let address = ("127.0.0.1", free_port()?);
                Broker::configure(&Kind::Kafka, self.job.place, self.job.settings, address, &scratch, &logs)?
            }
        };
        Ok(self.kafka.insert(kafka))
    }
}

fn command(broker: &mut Broker, verb: &str) -> Result<String, String> {
    match verb {
        "start" => broker.launch()?,
        "stop" => broker.stop()?,
        "kill" => broker.kill()?,
        _ => return Err(format!("unknown verb \"{verb}\"")),
    }
    let data = broker.data.as_ref().map_or_else(|| "-".into(), |data| data.display().to_string());
    Ok(format!("{} {data}", broker.address))
}
