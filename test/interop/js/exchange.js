// Exchanges messages with two other parties: node exchange.js NAME MESSAGES_FILE OTHERS. Says "ready" when it is subscribed,
// publishes every message of the file when a line comes on its standard input, and prints what it received from the others
// as JSON by topic. See exchange_test.go.
'use strict';
const fs = require('node:fs');
const { once } = require('node:events');
const { greengrasscoreipc } = require('aws-iot-device-sdk-v2');

async function main() {
  const [name, file, others] = process.argv.slice(2);
  const messages = JSON.parse(fs.readFileSync(file, 'utf8'));
  const client = greengrasscoreipc.createClient();
  await client.connect();
  const received = {};
  const complete = new Promise((resolve) => {
    const subscription = client.subscribeToTopic({ topic: 'exchange/#', receiveMode: 'RECEIVE_ALL_MESSAGES' });
    subscription.on('message', ({ jsonMessage, binaryMessage }) => {
      const { topic } = (jsonMessage ?? binaryMessage).context;
      if (topic.startsWith(`exchange/${name}/`)) return;
      received[topic] = jsonMessage
        ? { json: jsonMessage.message }
        : { binary: Buffer.from(binaryMessage.message).toString('base64') };
      if (Object.keys(received).length === messages.length * Number(others)) resolve();
    });
    subscription.activate().then(() => console.log('ready'));
  });
  await once(process.stdin, 'data');
  for (const [i, { json, binary }] of messages.entries()) {
    const publishMessage = json
      ? { jsonMessage: { message: json } }
      : { binaryMessage: { message: Buffer.from(binary, 'base64') } };
    await client.publishToTopic({ topic: `exchange/${name}/${i}`, publishMessage });
  }
  await complete;
  console.log(JSON.stringify(received));
  await client.close();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
