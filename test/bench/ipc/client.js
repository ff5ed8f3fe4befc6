// The benchmark's client with the official JavaScript SDK. See ../ipc_test.go for what it takes and prints.
'use strict';
const fs = require('node:fs');
const { greengrasscoreipc } = require('aws-iot-device-sdk-v2');

const [size, count, inFlight] = process.argv.slice(2).map(Number);
const topic = `bench/${process.pid}`;
const payload = Buffer.alloc(size, 'x');

async function main() {
  const client = greengrasscoreipc.createClient();
  await client.connect();
  const waiting = []; // who waits for an event; events come in the order of the messages
  const events = client.subscribeToTopic({ topic });
  events.on('message', (event) => {
    if (event.binaryMessage.message.byteLength !== size) throw new Error('an event of another size');
    waiting.shift()();
  });
  await events.activate();

  async function run(n, latencies) {
    let started = 0;
    async function worker() {
      while (started < n) {
        const i = started++;
        const begin = process.hrtime.bigint();
        const event = new Promise((resolve) => waiting.push(resolve));
        await client.publishToTopic({ topic, publishMessage: { binaryMessage: { message: payload } } });
        await event;
        latencies[i] = Number(process.hrtime.bigint() - begin) / 1000;
      }
    }
    await Promise.all(Array.from({ length: inFlight }, worker));
  }

  await run(Math.ceil(count / 5), []); // warm up
  const latencies = new Array(count);
  const cpu = process.cpuUsage(); // of all its threads, the SDK's native ones too
  const begin = process.hrtime.bigint();
  await run(count, latencies);
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const used = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  console.log(JSON.stringify({
    seconds,
    p50_us: latencies[Math.floor(count / 2)],
    p99_us: latencies[Math.floor(count * 0.99)],
    cpu_us: (used.user + used.system) / count,
    rss_kib: Number(/VmHWM:\s*(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]),
  }));
  await events.close();
  await client.close();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
