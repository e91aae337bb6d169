"""confluent-kafka: librdkafka, with Python around it."""

import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from compat import ADDRESS, check, compressible, each_codec, equal, run, test, topic


def produce(name, values, **settings):
    """Produces to partition 0 and gives the offsets that the broker told."""
    producer = Producer({"bootstrap.servers": ADDRESS, **{k.replace("_", "."): v for k, v in settings.items()}})
    offsets = []

    def delivered(error, message):
        check(error is None, f"not delivered: {error}")
        offsets.append(message.offset())

    for value in values:
        producer.produce(name, value, partition=0, on_delivery=delivered)
        producer.poll(0)
    equal(producer.flush(60), 0, "undelivered")
    return offsets


def consumer(**settings):
    return Consumer({"bootstrap.servers": ADDRESS, "group.id": "unused", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "check.crcs": True, **settings})


def poll(reader, count):
    read = []
    deadline = time.time() + 60
    while len(read) < count and time.time() < deadline:
        for message in reader.consume(count - len(read), timeout=0.5):
            check(message.error() is None, f"{message.error()}")
            read.append(message)
    equal(len(read), count, "records")
    return read


def read_all(name, count, offset=0, **settings):
    reader = consumer(**settings)
    reader.assign([TopicPartition(name, 0, offset)])
    try:
        return poll(reader, count)
    finally:
        reader.close()


def done(futures):
    for future in futures.values():
        future.result(60)


@each_codec
def produce_and_consume(codec):
    name = topic(f"ck-{codec}")
    values = compressible(5000)
    offsets = produce(name, values, compression_type=codec, linger_ms=20)
    equal(offsets, list(range(5000)), "offsets told to the producer")
    equal([m.value() for m in read_all(name, 5000)], values, "values")
    equal([m.value() for m in read_all(name, 100, offset=1234)][:100], values[1234:1334], "from the middle")


@each_codec
def kept_by_the_topic(codec):
    name = topic(f"ck-kept-{codec}")
    admin = AdminClient({"bootstrap.servers": ADDRESS})
    kept = "uncompressed" if codec == "none" else codec
    done(admin.create_topics([NewTopic(name, 1, 1, config={"compression.type": kept})]))
    values = compressible(5000)
    produce(name, values, compression_type="none", linger_ms=50, batch_size=900000)
    equal([m.value() for m in read_all(name, 5000)], values, "values")


@test
def acks():
    name = topic("ck-acks")
    for level in ["0", "1", "all"]:
        produce(name, [f"acks {level}".encode()], acks=level)
    equal(sorted(m.value() for m in read_all(name, 3)), [b"acks 0", b"acks 1", b"acks all"], "values")


@test
def idempotence():
    name = topic("ck-idempotent")
    values = compressible(20000, 80)
    produce(name, values, enable_idempotence=True, linger_ms=1, batch_num_messages=100)
    equal([m.value() for m in read_all(name, 20000)], values, "values")


@test
def keys_headers_and_timestamps():
    name = topic("ck-headers")
    producer = Producer({"bootstrap.servers": ADDRESS})
    headers = [("a", b"1"), ("b", None), ("a", b"")]
    producer.produce(name, b"v", key=b"k", partition=0, headers=headers, timestamp=1_700_000_000_123)
    producer.produce(name, None, key=b"tombstone", partition=0)
    equal(producer.flush(60), 0, "undelivered")
    first, second = read_all(name, 2)
    equal((first.key(), first.value(), first.timestamp()[1]), (b"k", b"v", 1_700_000_000_123), "record")
    equal(first.headers(), headers, "headers")
    equal((second.key(), second.value()), (b"tombstone", None), "tombstone")


@test
def offsets_by_time():
    name = topic("ck-times")
    producer = Producer({"bootstrap.servers": ADDRESS, "linger.ms": 0})
    for n in range(10):
        producer.produce(name, b"v", partition=0, timestamp=1_700_000_000_000 + n * 1000)
        producer.flush(60)
    reader = consumer()
    (found,) = reader.offsets_for_times([TopicPartition(name, 0, 1_700_000_004_500)], timeout=60)
    equal(found.offset, 5, "offset for a time")
    equal(reader.get_watermark_offsets(TopicPartition(name, 0), timeout=60), (0, 10), "watermarks")
    reader.close()


@test
def admin_topics_and_configs():
    name = topic("ck-admin")
    admin = AdminClient({"bootstrap.servers": ADDRESS})
    done(admin.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "1234567"})]))
    try:
        done(admin.create_topics([NewTopic(name, 2, 1)]))
        raise AssertionError("made twice")
    except KafkaException as error:
        equal(error.args[0].name(), "TOPIC_ALREADY_EXISTS", "error")
    resource = ConfigResource(ResourceType.TOPIC, name)

    def retention():
        return next(iter(admin.describe_configs([resource]).values())).result(60)["retention.ms"].value

    equal(retention(), "1234567", "retention.ms")
    change = ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])]))
    deadline = time.time() + 60
    while retention() != "7654321":
        check(time.time() < deadline, "retention.ms did not change")
        time.sleep(0.1)
    done(admin.create_partitions([NewPartitions(name, 4)]))
    while len(admin.list_topics(name, timeout=60).topics[name].partitions) != 4:
        check(time.time() < deadline, "partitions")
        time.sleep(0.1)
    check(admin.describe_cluster().result(60).cluster_id, "no cluster id")
    done(admin.delete_topics([name]))
    while name in admin.list_topics(timeout=60).topics:
        check(time.time() < deadline, "still there")
        time.sleep(0.1)


@test
def admin_delete_records_and_list_offsets():
    name = topic("ck-trimmed")
    produce(name, compressible(100))
    admin = AdminClient({"bootstrap.servers": ADDRESS})
    done(admin.delete_records([TopicPartition(name, 0, 40)]))
    for spec, wanted in [(OffsetSpec.earliest(), 40), (OffsetSpec.latest(), 100)]:
        tp = TopicPartition(name, 0)
        equal(admin.list_offsets({tp: spec})[tp].result(60).offset, wanted, "offset")


@test
def group():
    name = topic("ck-group")
    values = compressible(500)
    produce(name, values, compression_type="zstd", enable_idempotence=True)
    for protocol in ["classic", "consumer"]:
        reader = consumer(**{"group.id": f"{protocol}-{name}", "group.protocol": protocol})
        reader.subscribe([name])
        equal([m.value() for m in poll(reader, 500)], values, "values")
        reader.commit(asynchronous=False)
        (found,) = reader.committed([TopicPartition(name, 0)], timeout=60)
        equal(found.offset, 500, "committed")
        reader.close()


@test
def transaction():
    name = topic("ck-transaction")
    producer = Producer({"bootstrap.servers": ADDRESS, "transactional.id": f"t-{name}"})
    producer.init_transactions(60)
    for commit in [False, True]:
        producer.begin_transaction()
        producer.produce(name, b"yes" if commit else b"no", partition=0)
        producer.flush(60)
        producer.commit_transaction(60) if commit else producer.abort_transaction(60)
    read = read_all(name, 1, **{"isolation.level": "read_committed"})
    equal([m.value() for m in read], [b"yes"], "values")


run()
