"""aiokafka: producer and consumer for asyncio."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from compat import ADDRESS, check, compressible, each_codec, equal, run, test, topic


async def produce(name, values, **settings):
    async with AIOKafkaProducer(bootstrap_servers=ADDRESS, **settings) as producer:
        sent = [await producer.send(name, value, partition=0) for value in values]
        return [made.offset if made else None for made in await asyncio.gather(*sent)]


async def poll(reader, count):
    read = []
    deadline = time.time() + 60
    while len(read) < count and time.time() < deadline:
        for records in (await reader.getmany(timeout_ms=200)).values():
            read.extend(records)
    equal(len(read), count, "records")
    return read


async def read_all(name, count, **settings):
    async with AIOKafkaConsumer(bootstrap_servers=ADDRESS, auto_offset_reset="earliest", **settings) as reader:
        reader.assign([TopicPartition(name, 0)])
        return await poll(reader, count)


@each_codec
async def produce_and_consume(codec):
    name = topic(f"aio-{codec}")
    values = compressible(2000)
    offsets = await produce(name, values, compression_type=None if codec == "none" else codec, linger_ms=10)
    equal(offsets, list(range(2000)), "offsets told to the producer")
    equal([r.value for r in await read_all(name, 2000)], values, "values")


@test
async def acks():
    name = topic("aio-acks")
    for level in [0, 1, "all"]:
        await produce(name, [f"acks {level}".encode()], acks=level)
    read = await read_all(name, 3)
    equal(sorted(r.value for r in read), [b"acks 0", b"acks 1", b"acks all"], "values")


@test
async def idempotence():
    name = topic("aio-idempotent")
    values = compressible(3000, 80)
    await produce(name, values, enable_idempotence=True, max_batch_size=2000)
    equal([r.value for r in await read_all(name, 3000)], values, "values")


@test
async def keys_headers_and_timestamps():
    name = topic("aio-headers")
    headers = [("a", b"1"), ("b", b""), ("a", b"2")]
    async with AIOKafkaProducer(bootstrap_servers=ADDRESS) as producer:
        await producer.send_and_wait(name, b"v", key=b"k", partition=0, headers=headers, timestamp_ms=1_700_000_000_123)
        await producer.send_and_wait(name, None, key=b"tombstone", partition=0)
    first, second = await read_all(name, 2)
    equal((first.key, first.value, first.timestamp), (b"k", b"v", 1_700_000_000_123), "record")
    equal([tuple(h) for h in first.headers], headers, "headers")
    equal((second.key, second.value), (b"tombstone", None), "tombstone")


@test
async def offsets_by_time():
    name = topic("aio-times")
    tp = TopicPartition(name, 0)
    async with AIOKafkaProducer(bootstrap_servers=ADDRESS) as producer:
        for n in range(10):
            await producer.send_and_wait(name, b"v", partition=0, timestamp_ms=1_700_000_000_000 + n * 1000)
    async with AIOKafkaConsumer(bootstrap_servers=ADDRESS) as reader:
        reader.assign([tp])
        found = (await reader.offsets_for_times({tp: 1_700_000_004_500}))[tp]
        equal((found.offset, found.timestamp), (5, 1_700_000_005_000), "offset for a time")
        equal(await reader.beginning_offsets([tp]), {tp: 0}, "beginning")
        equal(await reader.end_offsets([tp]), {tp: 10}, "end")
        reader.seek(tp, 8)
        equal([r.offset for r in await poll(reader, 2)], [8, 9], "after seek")


@test
async def admin_topics():
    name = topic("aio-admin")
    admin = AIOKafkaAdminClient(bootstrap_servers=ADDRESS)
    await admin.start()

    async def until(what, question):
        deadline = time.time() + 60
        while not await question():
            check(time.time() < deadline, what)
            await asyncio.sleep(0.1)

    async def listed():
        return name in await admin.list_topics()

    async def has_four():
        return len((await admin.describe_topics([name]))[0]["partitions"]) == 4

    async def gone():
        return not await listed()

    try:
        await admin.create_topics([NewTopic(name, 2, 1)])
        await until("not listed", listed)
        again = await admin.create_topics([NewTopic(name, 2, 1)])
        equal(again.topic_errors[0][1], TopicAlreadyExistsError.errno, "error of a second topic")
        await admin.create_partitions({name: NewPartitions(4)})
        await until("partitions", has_four)
        await admin.delete_topics([name])
        await until("still listed", gone)
    finally:
        await admin.close()


@test
async def group():
    name = topic("aio-group")
    values = compressible(500)
    await produce(name, values, compression_type="gzip")
    settings = {"group_id": f"g-{name}", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer(name, bootstrap_servers=ADDRESS, **settings) as reader:
        equal([r.value for r in await poll(reader, 500)], values, "values")
        await reader.commit()
        equal(await reader.committed(TopicPartition(name, 0)), 500, "committed")


@test
async def transaction():
    name = topic("aio-transaction")
    async with AIOKafkaProducer(bootstrap_servers=ADDRESS, transactional_id=f"t-{name}") as producer:
        for commit in [False, True]:
            await producer.begin_transaction()
            await producer.send_and_wait(name, b"yes" if commit else b"no", partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    read = await read_all(name, 1, isolation_level="read_committed")
    equal([r.value for r in read], [b"yes"], "values")


run()
