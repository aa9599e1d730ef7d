// kafkajs for the compatibility suite: one JSON command a line on stdin, one JSON answer a line on stdout
// (client_test.go states the fields). Log output goes to stderr.
'use strict'

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const zstd = require('@mongodb-js/zstd')
const readline = require('readline')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = new (require('kafkajs-lz4'))().codec
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder) => zstd.compress(encoder.buffer, 3),
  decompress: (buffer) => zstd.decompress(buffer),
})

const limitMs = 60000
const kafka = new Kafka({
  clientId: 'compat-kafkajs',
  brokers: process.argv[2].split(","),
  logLevel: logLevel.WARN,
  logCreator: () => ({ label, log }) => console.error(label, JSON.stringify(log)),
})

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
const unb64 = (s) => (s === null ? null : Buffer.from(s, 'base64'))
const b64 = (b) => (b === null || b === undefined ? null : Buffer.from(b).toString('base64'))

function send(doc) {
  process.stdout.write(JSON.stringify(doc) + '\n')
}

async function produce(job) {
  const p = kafka.producer({ idempotent: job.idempotent, maxInFlightRequests: job.idempotent ? 5 : 1, allowAutoTopicCreation: false })
  await p.connect()
  const compression = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }[job.codec]
  const offsets = []
  const messages = job.records.map((r) => ({
    key: unb64(r.k), value: unb64(r.v), partition: r.p, timestamp: String(r.t),
    headers: Object.fromEntries((r.h || []).map((h) => [h.n, unb64(h.v)])),
  }))
  try {
    const results = await p.send({ topic: job.topic, acks: job.acks, compression, messages })
    const next = {}
    for (const r of results) next[r.partition] = Number(r.baseOffset)
    for (const r of job.records) offsets.push(next[r.p] === undefined ? -1 : next[r.p]++)
  } finally {
    await p.disconnect()
  }
  return offsets
}

function record(topic, partition, m) {
  const h = []
  for (const [n, v] of Object.entries(m.headers || {})) {
    for (const one of Array.isArray(v) ? v : [v]) h.push({ n, v: b64(one) })
  }
  return { topic, p: partition, o: Number(m.offset), t: Number(m.timestamp), k: b64(m.key), v: b64(m.value), h }
}

async function until(done, what) {
  for (const deadline = Date.now() + limitMs; !done(); await sleep(20)) {
    if (Date.now() > deadline) throw new Error('timed out: ' + what())
  }
}

// transact moves count records from a topic to another in transactions that hold the group's offsets, each of them first
// in one with poison that is aborted.
async function transact(job) {
  const p = kafka.producer({ transactionalId: job.id, idempotent: true, maxInFlightRequests: 1, transactionTimeout: limitMs })
  const c = kafka.consumer({ groupId: job.group, readUncommitted: false })
  await p.connect()
  await c.connect()
  let moved = 0
  let failure = null
  try {
    await c.subscribe({ topics: [job.topic], fromBeginning: true })
    await c.run({
      autoCommit: false,
      eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
        try {
          for (const commit of [false, true]) {
            const t = await p.transaction()
            const messages = batch.messages.map((m) => ({ key: m.key, value: commit ? m.value : 'poison', partition: batch.partition }))
            await t.send({ topic: job.out, messages })
            const offset = String(Number(batch.lastOffset()) + 1)
            await t.sendOffsets({ consumerGroupId: job.group, topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset }] }] })
            if (commit) await t.commit()
            else await t.abort()
          }
          resolveOffset(batch.lastOffset())
          moved += batch.messages.length
          await heartbeat()
        } catch (e) {
          failure = failure || e
        }
      },
    })
    await until(() => failure || moved >= job.count, () => `${moved} of ${job.count} records moved`)
    if (failure) throw failure
  } finally {
    await c.disconnect()
    await p.disconnect()
  }
}

// consume joins a group of its own: kafkajs has no consumer without a group.
async function consume(job) {
  const c = kafka.consumer({ groupId: `reads-all-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 100, heartbeatInterval: 300, maxBytesPerPartition: 4 << 20 })
  await c.connect()
  const got = []
  try {
    await c.subscribe({ topics: job.topics, fromBeginning: true })
    await c.run({ autoCommit: false, eachMessage: async ({ topic, partition, message }) => { got.push(record(topic, partition, message)) } })
    await until(() => got.length >= job.count, () => `${got.length} of ${job.count} records`)
  } finally {
    await c.disconnect()
  }
  return got
}

async function group(job) {
  const held = Array.from({ length: job.members }, () => [])
  const members = Array.from({ length: job.members }, () => [])
  const seen = new Set()
  let told = false
  const consumers = held.map(() => kafka.consumer({ groupId: job.group, maxWaitTimeInMs: 100, heartbeatInterval: 300 }))
  try {
    await Promise.all(consumers.map(async (c, i) => {
      c.on(c.events.GROUP_JOIN, ({ payload }) => {
        held[i] = payload.memberAssignment[job.topic] || []
        if (told || held.some((h) => h.length === 0)) return
        told = true
        send({ event: 'assigned', assignment: held })
      })
      await c.connect()
      await c.subscribe({ topics: [job.topic], fromBeginning: true })
      await c.run({
        autoCommit: false,
        eachBatch: async ({ batch, resolveOffset }) => {
          for (const m of batch.messages) {
            members[i].push(record(batch.topic, batch.partition, m))
            seen.add(batch.partition + '/' + m.offset)
            resolveOffset(m.offset)
          }
          const next = String(Number(batch.lastOffset()) + 1)
          await c.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }])
        },
      })
    }))
    await until(() => told && seen.size >= job.count, () => `${seen.size} of ${job.count} records, held ${JSON.stringify(held)}`)
  } finally {
    await Promise.all(consumers.map((c) => c.disconnect()))
  }
  return members
}

async function admin(job) {
  const a = kafka.admin()
  await a.connect()
  try {
    return await call(a, job)
  } finally {
    await a.disconnect()
  }
}

async function configs(a, type, name) {
  const r = await a.describeConfigs({ includeSynonyms: false, resources: [{ type, name }] })
  return { configs: Object.fromEntries(r.resources[0].configEntries.map((e) => [e.configName, e.configValue || ''])) }
}

async function call(a, job) {
  const topic = job.topic
  const entries = Object.entries(job.configs || {}).map(([name, value]) => ({ name, value }))
  const offsets = (os) => ({ offsets: Object.fromEntries(os.map((o) => [o.partition, Number(o.offset)])) })
  switch (job.action) {
    case 'create_topic':
      await a.createTopics({ topics: [{ topic, numPartitions: job.partitions, replicationFactor: job.replicas, configEntries: entries }] })
      return {}
    case 'list_topics': return { topics: await a.listTopics() }
    case 'describe_topic': return { partitions: (await a.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length }
    case 'create_partitions': await a.createPartitions({ topicPartitions: [{ topic, count: job.partitions }] }); return {}
    case 'alter_configs':
      await a.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: entries }] })
      return {}
    case 'describe_configs': return configs(a, ConfigResourceTypes.TOPIC, topic)
    case 'describe_broker': return configs(a, ConfigResourceTypes.BROKER, '1')
    case 'list_offsets': return offsets(await a.fetchTopicOffsets(topic))
    case 'delete_records':
      await a.fetchTopicOffsets(topic) // kafkajs looks for the leader in metadata that only this call loads
      await a.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(job.offset) }] })
      return {}
    case 'list_groups': return { groups: (await a.listGroups()).groups.map((g) => g.groupId) }
    case 'describe_group': return { state: (await a.describeGroups([job.group])).groups[0].state }
    case 'group_offsets': {
      const [t] = await a.fetchOffsets({ groupId: job.group, topics: [topic] })
      return offsets(t.partitions.filter((p) => p.offset !== '-1'))
    }
    case 'alter_offsets': await a.setOffsets({ groupId: job.group, topic, partitions: [{ partition: 0, offset: String(job.offset) }] }); return {}
    case 'delete_group': await a.deleteGroups([job.group]); return {}
    case 'delete_topic': await a.deleteTopics({ topics: [topic] }); return {}
    default: throw new Error('unsupported: ' + job.action)
  }
}

async function main() {
  const ops = { transact: async (j) => { await transact(j); return {} }, produce: async (j) => ({ offsets: await produce(j) }), consume: async (j) => ({ records: await consume(j) }), group: async (j) => ({ members: await group(j) }), admin: async (j) => ({ admin: await admin(j) }) }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const job = JSON.parse(line)
    try {
      send({ ok: true, ...(await ops[job.op](job)) })
    } catch (e) {
      console.error(e)
      send({ ok: false, error: `${e.name}: ${e.message} ${e.groups ? JSON.stringify(e.groups) : ''}` })
    }
  }
  process.exit(0)
}

main()
