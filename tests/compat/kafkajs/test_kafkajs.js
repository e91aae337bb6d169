// kafkajs: admin, producer with each codec, group consumer.
//
// Called with the broker's address and the names to leave out. Prints `begin NAME` and then `ok NAME` or
// `not ok NAME: why`, or `left out NAME`, and at the end `plan N`.
"use strict";

const assert = require("node:assert");
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require("kafkajs");
const SnappyCodec = require("kafkajs-snappy");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32.js");
const { ZstdCodec } = require("zstd-codec");

const [address, leftOutNames = ""] = process.argv.slice(2);
const leftOut = new Set(leftOutNames.split(","));
const run = Date.now().toString(36);
const topicName = (name) => `compat-kjs-${name}-${run}`;
// Its own limit for a connection is one second.
const kafka = new Kafka({ clientId: "compat", brokers: [address], connectionTimeout: 10000, logLevel: logLevel.ERROR });
const tests = [];
const test = (name, body) => tests.push([name, body]);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Seconds of a test. One that takes longer fails under its name, and the others still run.
const TEST_LIMIT = 120;

/** `what` is a text, or gives one about the state at the end. */
async function eventually(what, question) {
  const end = Date.now() + 60000;
  while (!(await question())) {
    if (Date.now() >= end) {
      throw new Error(`not within 60 s: ${typeof what === "function" ? what() : what}`);
    }
    await sleep(100);
  }
}

/** Runs a test's body, which may never end. */
async function limited(body) {
  let timer;
  const late = new Promise((_, failed) => {
    timer = setTimeout(() => failed(new Error(`took longer than ${TEST_LIMIT} s`)), TEST_LIMIT * 1000);
  });
  try {
    await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * An LZ4 frame as Kafka's clients expect it. lz4js does not mark the blocks as independent, which
 * they are as long as there is only one (up to 4 MiB); the mark changes the header's checksum.
 */
function lz4Frame(data) {
  const frame = Buffer.from(lz4.compress(data));
  frame[4] |= 0x20;
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff;
  return frame;
}

/** kafkajs compresses gzip by itself; the other codecs are packages without native code. */
async function addCodecs() {
  const zstd = await new Promise((done) => ZstdCodec.run((codec) => done(new codec.Simple())));
  CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder) => lz4Frame(encoder.buffer),
    decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
  });
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
  });
}

const messages = (count) =>
  Array.from({ length: count }, (_, n) => ({ partition: 0, key: `k${n}`, value: `value ${n} ${"abcdefgh".repeat(20)}` }));

async function withAdmin(use) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

const create = (topic, numPartitions = 1, configEntries = []) =>
  withAdmin((admin) => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, configEntries }] }));

async function withProducer(settings, use) {
  const producer = kafka.producer(settings);
  await producer.connect();
  try {
    return await use(producer);
  } finally {
    await producer.disconnect();
  }
}

/** The end offset of partition 0. */
async function end(topic) {
  const offsets = await withAdmin((admin) => admin.fetchTopicOffsets(topic));
  return Number(offsets.find((o) => o.partition === 0).high);
}

/** Reads so many records of a topic as a group. */
async function readAsGroup(topic, count, settings = {}) {
  const consumer = kafka.consumer({ groupId: `g-${topic}`, ...settings });
  const read = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void read.push(message) });
    await eventually(() => `${count} records, got ${read.length}`, () => read.length >= count);
  } finally {
    await consumer.disconnect();
  }
  assert.strictEqual(read.length, count, "number of records");
  return read;
}

const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

for (const [name, compression] of Object.entries(codecs)) {
  test(`produce-${name}`, async () => {
    const topic = topicName(`produce-${name}`);
    await create(topic);
    const made = await withProducer({}, (p) => p.send({ topic, compression, messages: messages(500) }));
    assert.strictEqual(made[0].baseOffset, "0");
    assert.strictEqual(await end(topic), 500, "end offset");
  });
  test(`group-${name}`, async () => {
    const topic = topicName(`group-${name}`);
    await create(topic);
    const sent = messages(500);
    await withProducer({}, (p) => p.send({ topic, compression, messages: sent }));
    const read = await readAsGroup(topic, 500);
    assert.deepStrictEqual(read.map((m) => m.value.toString()), sent.map((m) => m.value));
  });
}

test("acks", async () => {
  const topic = topicName("acks");
  await create(topic);
  for (const acks of [0, 1, -1]) {
    await withProducer({}, (p) => p.send({ topic, acks, messages: messages(10) }));
  }
  await eventually("all are there", async () => (await end(topic)) === 30);
});

test("idempotent", async () => {
  const topic = topicName("idempotent");
  await create(topic);
  await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async (producer) => {
    for (let n = 0; n < 20; n++) {
      const [made] = await producer.send({ topic, compression: CompressionTypes.GZIP, messages: messages(100) });
      assert.strictEqual(made.baseOffset, String(n * 100));
    }
  });
  assert.strictEqual(await end(topic), 2000, "end offset");
});

test("offsets-by-timestamp", async () => {
  const topic = topicName("times");
  await create(topic);
  await withProducer({}, async (producer) => {
    for (let n = 0; n < 10; n++) {
      const timestamp = String(1700000000000 + n * 1000);
      await producer.send({ topic, messages: [{ partition: 0, value: "v", timestamp }] });
    }
  });
  const [found] = await withAdmin((admin) => admin.fetchTopicOffsetsByTimestamp(topic, 1700000004500));
  assert.strictEqual(found.offset, "5");
});

test("admin-topics", async () => {
  const topic = topicName("admin");
  await withAdmin(async (admin) => {
    const made = await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3 }] });
    assert.strictEqual(made, true);
    assert.strictEqual(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false, "made twice");
    assert((await admin.listTopics()).includes(topic), "not listed");
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions;
    await eventually("five partitions", async () => (await partitions()).length === 5);
    await admin.deleteTopics({ topics: [topic] });
    await eventually("it is gone", async () => !(await admin.listTopics()).includes(topic));
  });
});

test("admin-cluster-and-configs", async () => {
  const topic = topicName("configs");
  await create(topic, 1, [{ name: "retention.ms", value: "1234567" }]);
  await withAdmin(async (admin) => {
    const cluster = await admin.describeCluster();
    assert.strictEqual(cluster.brokers.length, 1);
    assert(cluster.clusterId, "no cluster id");
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
    const retention = async () => {
      const answer = await admin.describeConfigs({ includeSynonyms: true, resources: [resource] });
      return answer.resources[0].configEntries.find((e) => e.configName === "retention.ms").configValue;
    };
    assert.strictEqual(await retention(), "1234567");
    const configEntries = [{ name: "retention.ms", value: "7654321" }];
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] });
    await eventually("the new value", async () => (await retention()) === "7654321");
  });
});

test("admin-delete-records", async () => {
  const topic = topicName("trimmed");
  await create(topic);
  await withProducer({}, (p) => p.send({ topic, messages: messages(100) }));
  await withAdmin(async (admin) => {
    // Without this it does not know the topic's leaders yet.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "40" }] });
    const [offsets] = await admin.fetchTopicOffsets(topic);
    assert.strictEqual(`${offsets.low} ${offsets.high}`, "40 100");
  });
});

test("group-headers-and-commits", async () => {
  const topic = topicName("headers");
  await create(topic);
  const headers = { a: "1", b: Buffer.from([0, 255]) };
  await withProducer({}, (p) => p.send({ topic, messages: [{ key: "k", value: null, headers }] }));
  const [message] = await readAsGroup(topic, 1);
  assert.strictEqual(message.value, null);
  assert.deepStrictEqual([message.headers.a.toString(), message.headers.b], ["1", headers.b]);
  const [committed] = await withAdmin((admin) => admin.fetchOffsets({ groupId: `g-${topic}`, topics: [topic] }));
  assert.strictEqual(committed.partitions[0].offset, "1");
});

test("transaction", async () => {
  const topic = topicName("transaction");
  await create(topic);
  await withProducer({ transactionalId: `t-${topic}`, maxInFlightRequests: 1, idempotent: true }, async (producer) => {
    for (const commit of [false, true]) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value: commit ? "yes" : "no" }] });
      await (commit ? transaction.commit() : transaction.abort());
    }
  });
  const read = await readAsGroup(topic, 1, { readUncommitted: false });
  assert.strictEqual(read[0].value.toString(), "yes");
});

async function main() {
  await addCodecs();
  for (const [name, body] of tests) {
    if (leftOut.has(name)) {
      console.log(`left out ${name}`);
      continue;
    }
    console.log(`begin ${name}`);
    try {
      await limited(body);
      console.log(`ok ${name}`);
    } catch (error) {
      console.error(error);
      console.log(`not ok ${name}: ${String(error).replace(/\n/g, " ")}`);
    }
  }
  console.log(`plan ${tests.length}`);
  process.exit(0);
}

main();
