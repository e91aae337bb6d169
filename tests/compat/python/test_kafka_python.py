"""kafka-python, a client in Python alone."""

import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

from compat import ADDRESS, check, compressible, each_codec, equal, run, test, topic


def produce(name, values, **settings):
    producer = KafkaProducer(bootstrap_servers=ADDRESS, **settings)
    sent = [producer.send(name, value, partition=0) for value in values]
    producer.flush(timeout=60)
    made = [future.get(timeout=60) for future in sent]
    producer.close()
    return made


def consumer(name, **settings):
    found = KafkaConsumer(bootstrap_servers=ADDRESS, auto_offset_reset="earliest", **settings)
    found.assign([TopicPartition(name, 0)])
    return found


def poll(reader, count):
    read = []
    deadline = time.time() + 60
    while len(read) < count and time.time() < deadline:
        for records in reader.poll(timeout_ms=200).values():
            read.extend(records)
    equal(len(read), count, "records")
    return read


def with_admin(use):
    admin = KafkaAdminClient(bootstrap_servers=ADDRESS)
    try:
        return use(admin)
    finally:
        admin.close()


@each_codec
def produce_and_consume(codec):
    name = topic(f"kp-{codec}")
    values = compressible(2000)
    made = produce(name, values, compression_type=None if codec == "none" else codec, linger_ms=20)
    equal([m.offset for m in made], list(range(2000)), "offsets told to the producer")
    reader = consumer(name)
    equal([r.value for r in poll(reader, 2000)], values, "values")
    reader.close()


@each_codec
def kept_by_the_topic(codec):
    name = topic(f"kp-kept-{codec}")
    kept = "uncompressed" if codec == "none" else codec
    new = NewTopic(name, 1, 1, topic_configs={"compression.type": kept})
    with_admin(lambda admin: admin.create_topics([new]))
    values = compressible(5000)
    produce(name, values, compression_type=None, linger_ms=50, batch_size=900000)
    reader = consumer(name)
    equal([r.value for r in poll(reader, 5000)], values, "values")
    reader.close()


@test
def acks():
    name = topic("kp-acks")
    for level in [0, 1, "all"]:
        produce(name, [f"acks {level}".encode()], acks=level, enable_idempotence=False)
    reader = consumer(name)
    equal(sorted(r.value for r in poll(reader, 3)), [b"acks 0", b"acks 1", b"acks all"], "values")
    reader.close()


@test
def idempotence():
    name = topic("kp-idempotent")
    values = compressible(3000, 80)
    produce(name, values, enable_idempotence=True)
    reader = consumer(name)
    equal([r.value for r in poll(reader, 3000)], values, "values")
    reader.close()


@test
def keys_headers_and_timestamps():
    name = topic("kp-headers")
    producer = KafkaProducer(bootstrap_servers=ADDRESS)
    headers = [("a", b"1"), ("b", b""), ("a", b"2")]
    producer.send(name, b"v", key=b"k", headers=headers, partition=0, timestamp_ms=1_700_000_000_123).get(60)
    producer.send(name, None, key=b"tombstone", partition=0).get(60)
    producer.close()
    reader = consumer(name)
    first, second = poll(reader, 2)
    equal((first.key, first.value, first.timestamp), (b"k", b"v", 1_700_000_000_123), "record")
    equal([tuple(h) for h in first.headers], headers, "headers")
    equal((second.key, second.value), (b"tombstone", None), "tombstone")
    reader.close()


@test
def offsets_by_time():
    name = topic("kp-times")
    producer = KafkaProducer(bootstrap_servers=ADDRESS)
    for n in range(10):
        producer.send(name, b"v", partition=0, timestamp_ms=1_700_000_000_000 + n * 1000).get(60)
    producer.close()
    reader = consumer(name)
    tp = TopicPartition(name, 0)
    found = reader.offsets_for_times({tp: 1_700_000_004_500})[tp]
    equal((found.offset, found.timestamp), (5, 1_700_000_005_000), "offset for a time")
    equal(reader.beginning_offsets([tp]), {tp: 0}, "beginning")
    equal(reader.end_offsets([tp]), {tp: 10}, "end")
    reader.seek(tp, 8)
    equal([r.offset for r in poll(reader, 2)], [8, 9], "after seek")
    reader.close()


@test
def admin_topics():
    name = topic("kp-admin")

    def use(admin):
        admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
        deadline = time.time() + 60
        while name not in admin.list_topics():
            check(time.time() < deadline, "not listed")
            time.sleep(0.1)
        try:
            admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
            raise AssertionError("made twice")
        except TopicAlreadyExistsError:
            pass
        admin.create_partitions({name: NewPartitions(total_count=4)})
        deadline = time.time() + 60
        while len(admin.describe_topics([name])[0]["partitions"]) != 4:
            check(time.time() < deadline, "partitions")
            time.sleep(0.1)
        admin.delete_topics([name])
        deadline = time.time() + 60
        while name in admin.list_topics():
            check(time.time() < deadline, "still listed")
            time.sleep(0.1)

    with_admin(use)


@test
def group():
    name = topic("kp-group")
    values = compressible(500)
    produce(name, values, compression_type="gzip")
    settings = {"bootstrap_servers": ADDRESS, "group_id": f"g-{name}", "auto_offset_reset": "earliest"}
    reader = KafkaConsumer(name, enable_auto_commit=False, **settings)
    equal([r.value for r in poll(reader, 500)], values, "values")
    reader.commit()
    equal(reader.committed(TopicPartition(name, 0)), 500, "committed")
    reader.close()


@test
def transaction():
    name = topic("kp-transaction")
    producer = KafkaProducer(bootstrap_servers=ADDRESS, transactional_id=f"t-{name}")
    producer.init_transactions()
    for commit in [False, True]:
        producer.begin_transaction()
        producer.send(name, b"yes" if commit else b"no", partition=0)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    reader = consumer(name, isolation_level="read_committed")
    equal([r.value for r in poll(reader, 1)], [b"yes"], "values")
    reader.close()


run()
