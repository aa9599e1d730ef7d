"""confluent-kafka (librdkafka) for the compatibility suite."""

import sys
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
from confluent_kafka import ConsumerGroupTopicPartitions

import driver
from driver import LIMIT_S, Gathering, Unsupported, record

bootstrap = sys.argv[1]


def produce(job):
    conf = {
        "bootstrap.servers": bootstrap,
        "acks": job["acks"],
        "enable.idempotence": job["idempotent"],
        "compression.type": job["codec"],
        "message.max.bytes": 2 << 20,
        "linger.ms": 5,
        "message.timeout.ms": LIMIT_S * 1000,
    }
    if not job["idempotent"]:
        conf["max.in.flight.requests.per.connection"] = 1
    p = Producer(conf)
    offsets = [None] * len(job["records"])
    errors = []

    def acked(i):
        def f(err, msg):
            if err:
                errors.append(err)
            else:
                offsets[i] = msg.offset() if msg.offset() is not None else -1

        return f

    for i, r in enumerate(job["records"]):
        p.produce(job["topic"], partition=r["p"], key=r["k"], value=r["v"], timestamp=r["t"], headers=r["h"], on_delivery=acked(i))
        p.poll(0)
    left = p.flush(LIMIT_S)
    if errors or left:
        raise KafkaException(errors[0] if errors else f"{left} records not delivered")
    return offsets


def conf_consumer(group):
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "heartbeat.interval.ms": 300,
        "session.timeout.ms": 10000,
        "check.crcs": True,
    }


def rec(m):
    return record(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers())


def consume(job):
    c = Consumer(conf_consumer("assigns-itself"))
    got = []
    try:
        meta = c.list_topics(timeout=LIMIT_S).topics
        c.assign([TopicPartition(t, p, 0) for t in job["topics"] for p in meta[t].partitions])
        deadline = time.monotonic() + LIMIT_S
        while len(got) < job["count"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {len(got)} of {job['count']} records")
            for m in c.consume(500, timeout=0.2):
                if m.error():
                    raise KafkaException(m.error())
                got.append(rec(m))
    finally:
        c.close()
    return got


def member(g, i, deadline):
    c = Consumer(conf_consumer(g.job["group"]))
    try:
        c.subscribe(
            [g.job["topic"]],
            on_assign=lambda _, ps: g.assign(i, [p.partition for p in ps]),
            on_revoke=lambda _, ps: g.revoke(i, [p.partition for p in ps]),
        )
        while not g.finished():
            if time.monotonic() > deadline:
                raise g.late()
            ms = c.consume(500, timeout=0.1)
            for m in ms:
                if m.error():
                    raise KafkaException(m.error())
                g.add(i, rec(m))
            if ms:
                c.commit(asynchronous=False)
    finally:
        c.close()


def transact(job):
    """Moves records to another topic in transactions with the group's offsets, each first in one that is aborted."""
    p = Producer({"bootstrap.servers": bootstrap, "transactional.id": job["id"], "transaction.timeout.ms": LIMIT_S * 1000})
    p.init_transactions(LIMIT_S)
    c = Consumer(conf_consumer(job["group"]))
    moved = 0
    deadline = time.monotonic() + LIMIT_S
    try:
        c.subscribe([job["topic"]])
        while moved < job["count"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {moved} of {job['count']} records")
            ms = c.consume(50, timeout=0.2)
            for m in ms:
                if m.error():
                    raise KafkaException(m.error())
            if not ms:
                continue
            for commit in (False, True):
                p.begin_transaction()
                for m in ms:
                    p.produce(job["out"], partition=m.partition(), key=m.key(), value=m.value() if commit else b"poison")
                p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), LIMIT_S)
                if commit:
                    p.commit_transaction(LIMIT_S)
                    moved += len(ms)
                else:
                    p.flush(LIMIT_S)
                    p.abort_transaction(LIMIT_S)
    finally:
        c.close()


def group(job):
    return Gathering(job).run(member)


def admin(job):
    a = AdminClient({"bootstrap.servers": bootstrap})
    topic, act = job.get("topic"), job["action"]

    def wait(futures):
        return [f.result(timeout=30) for f in futures.values()]

    if act == "create_topic":
        wait(a.create_topics([NewTopic(topic, job["partitions"], job["replicas"], config=job.get("configs") or {})]))
    elif act == "list_topics":
        return {"topics": list(a.list_topics(timeout=30).topics)}
    elif act == "describe_topic":
        return {"partitions": len(a.list_topics(topic, timeout=30).topics[topic].partitions)}
    elif act == "create_partitions":
        wait(a.create_partitions([NewPartitions(topic, job["partitions"])]))
    elif act == "alter_configs":
        entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in job["configs"].items()]
        wait(a.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]))
    elif act in ("describe_configs", "describe_broker"):
        res = ConfigResource(ResourceType.TOPIC, topic) if act == "describe_configs" else ConfigResource(ResourceType.BROKER, "1")
        (entries,) = wait(a.describe_configs([res]))
        return {"configs": {e.name: e.value or "" for e in entries.values()}}
    elif act == "delete_topic":
        wait(a.delete_topics([topic]))
    else:
        return admin_data(a, job, wait)
    return {}


def admin_data(a, job, wait):
    topic, act = job.get("topic"), job["action"]
    if act == "list_offsets":
        ask = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(job["partitions"])}
        return {"offsets": {str(tp.partition): f.result(timeout=30).offset for tp, f in a.list_offsets(ask).items()}}
    if act == "delete_records":
        wait(a.delete_records([TopicPartition(topic, 0, job["offset"])]))
    elif act == "list_groups":
        res = a.list_consumer_groups().result(timeout=30)
        if res.errors:
            raise KafkaException(res.errors[0])
        return {"groups": [g.group_id for g in res.valid]}
    elif act == "describe_group":
        (d,) = wait(a.describe_consumer_groups([job["group"]]))
        return {"state": d.state.name}
    elif act == "group_offsets":
        (r,) = wait(a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(job["group"])]))
        return {"offsets": {str(p.partition): p.offset for p in r.topic_partitions}}
    elif act == "alter_offsets":
        wait(a.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(job["group"], [TopicPartition(topic, 0, job["offset"])])]))
    elif act == "delete_group":
        wait(a.delete_consumer_groups([job["group"]]))
    else:
        raise Unsupported(act)
    return {}


if __name__ == "__main__":
    driver.main(sys.modules[__name__])
