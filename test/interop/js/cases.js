// Uses the core as a component with the official JavaScript client would, and prints a line of JSON for each case: what it
// saw, or the error as the client decoded it. interop_test.go knows what is right.
'use strict';
const { eventstream_rpc, greengrasscoreipc } = require('aws-iot-device-sdk-v2');

const { QOS, ReceiveMode, ReportedLifecycleState } = greengrasscoreipc.model;
const thing = process.env.AWS_IOT_THING_NAME;
const wanted = process.argv.slice(2); // names of cases; none means all
let client;

const base64 = (bytes) => Buffer.from(bytes).toString('base64');
const json = (value) => ({ jsonMessage: { message: value } });
const binary = (bytes) => ({ binaryMessage: { message: bytes } });
const publish = (topic, publishMessage) => client.publishToTopic({ topic, publishMessage });

// failure names an error: the model's shape if the client decoded one, else the client's own kind.
function failure(err) {
  if (!err.serviceError) return eventstream_rpc.RpcErrorType[err.type] ?? String(err);
  return err.serviceError._errorCode;
}

// attempt returns what a call was answered, or how it failed.
async function attempt(call) {
  try {
    return (await call()) ?? {};
  } catch (err) {
    return { error: failure(err) };
  }
}

// open activates a streaming operation; next() waits for its next event.
async function open(operation) {
  const events = [], waiting = [];
  operation.on('message', (event) => {
    if (waiting.length > 0) waiting.shift()(event);
    else events.push(event);
  });
  await operation.activate();
  return {
    events,
    next: () => (events.length > 0 ? Promise.resolve(events.shift()) : new Promise((resolve) => waiting.push(resolve))),
    close: () => operation.close(),
  };
}

// openAndClose opens a stream that the core may refuse. The client ends a refused stream from its side, too, and waits for
// ever when the core's end is processed first: then it is opened once more.
async function openAndClose(operation) {
  for (;;) {
    let timer;
    const patience = new Promise((resolve) => { timer = setTimeout(resolve, 2000); });
    const answer = await Promise.race([attempt(async () => (await open(operation())).close()), patience]);
    clearTimeout(timer);
    if (answer !== undefined) return answer;
  }
}

const subscribe = (topic, receiveMode) => open(client.subscribeToTopic({ topic, receiveMode }));

function seenMessage(event) {
  if (event.jsonMessage) return { topic: event.jsonMessage.context.topic, json: event.jsonMessage.message };
  return { topic: event.binaryMessage.context.topic, binary: base64(event.binaryMessage.message) };
}

async function echo(topic, message) {
  const subscription = await subscribe(topic);
  await publish(topic, message);
  const event = await subscription.next();
  await subscription.close();
  return seenMessage(event);
}

// later returns a time that is after every value's so far. One of whole seconds has no fraction in this client's JSON.
let tick = 0;
function later(whole) {
  const at = Math.ceil(Date.now() / 1000 + ++tick) * 1000;
  return new Date(whole ? at : at + 500);
}

const cases = {
  async refused() {
    const config = greengrasscoreipc.createDefaultClientConfig();
    config.connectTransform = async ({ message }) => ({ ...message, payload: JSON.stringify({ authToken: 'AAAAAAAAAAAAAAAA' }) });
    const stranger = greengrasscoreipc.createClient(config);
    const answer = await attempt(() => stranger.connect());
    await stranger.close();
    return { refused: answer.error !== undefined }; // which error depends on who closes the socket first
  },

  'publish json': () =>
    echo('interop/json', json({ text: 'Grüße, 世界 🚀 "\\\n', whole: 42, ratio: 1.5, list: [1, 'two', true], object: { a: 'b' } })),
  'publish binary': () => echo('interop/binary', binary(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))),
  'publish empty binary': () => echo('interop/empty', binary(Buffer.alloc(0))),
  async 'publish 7000 bytes'() {
    const seen = await echo('interop/large', binary(Buffer.alloc(7000, 'x')));
    return { length: Buffer.from(seen.binary, 'base64').length };
  },
  async 'subscribe wildcard'() {
    const subscription = await subscribe('interop/+/x', ReceiveMode.RECEIVE_ALL_MESSAGES);
    for (const topic of ['interop/a/x', 'interop/b/y', 'interop/c/x']) await publish(topic, json({}));
    const topics = [(await subscription.next()).jsonMessage.context.topic, (await subscription.next()).jsonMessage.context.topic];
    await subscription.close();
    return topics;
  },
  async 'receive from others'() {
    const others = await subscribe('interop/mode', ReceiveMode.RECEIVE_MESSAGES_FROM_OTHERS);
    const all = await subscribe('interop/mode', ReceiveMode.RECEIVE_ALL_MESSAGES);
    await publish('interop/mode', json({}));
    await all.next(); // the core delivers in the order of subscriptions
    const seen = others.events.length;
    await Promise.all([others.close(), all.close()]);
    return { own: seen };
  },
  async 'close subscription'() {
    const closed = await subscribe('interop/close'), open = await subscribe('interop/close');
    await publish('interop/close', json({ n: 1 }));
    await Promise.all([closed.next(), open.next()]);
    await closed.close();
    await publish('interop/close', json({ n: 2 }));
    const second = (await open.next()).jsonMessage.message;
    await open.close();
    return { second, afterClose: closed.events.length };
  },
  'topic with wildcard': () => attempt(() => publish('interop/#', json({}))),
  'publish unauthorized': () => attempt(() => publish('elsewhere', json({}))),
  'subscribe unauthorized': () => openAndClose(() => client.subscribeToTopic({ topic: 'elsewhere' })),

  async 'iot core'() {
    const subscription = await open(client.subscribeToIoTCore({ topicName: 'interop/cloud/+', qos: QOS.AT_LEAST_ONCE }));
    await client.publishToIoTCore({ topicName: 'interop/cloud/1', qos: QOS.AT_LEAST_ONCE, payload: Buffer.from([0, 1, 254, 255]) });
    const { message } = await subscription.next();
    await subscription.close();
    return { topic: message.topicName, payload: base64(message.payload) };
  },
  async 'iot core properties'() {
    const subscription = await open(client.subscribeToIoTCore({ topicName: 'interop/properties', qos: QOS.AT_MOST_ONCE }));
    await client.publishToIoTCore({
      topicName: 'interop/properties', qos: QOS.AT_MOST_ONCE, payload: 'x',
      userProperties: [{ key: 'a', value: 'b' }], responseTopic: 'interop/answer', correlationData: 'id',
    });
    const { message } = await subscription.next();
    await subscription.close();
    return {
      user: message.userProperties ?? [], responseTopic: message.responseTopic ?? '',
      correlation: message.correlationData ? base64(message.correlationData) : '',
    };
  },
  'iot core unauthorized': () =>
    attempt(() => client.publishToIoTCore({ topicName: 'elsewhere', qos: QOS.AT_LEAST_ONCE, payload: 'x' })),

  async 'get configuration'() {
    const get = async (...keyPath) => (await client.getConfiguration({ keyPath })).value;
    return { map: await get('settings'), leaf: await get('text'), list: await get('list'), deep: await get('settings', 'limit') };
  },
  'get configuration of another': () => attempt(() => client.getConfiguration({ componentName: 'com.edgepdm.Other', keyPath: ['x'] })),
  'get configuration missing': () => attempt(() => client.getConfiguration({ keyPath: ['none'] })),
  async 'update configuration'() {
    const subscription = await open(client.subscribeToConfigurationUpdate({ keyPath: ['settings'] }));
    await client.updateConfiguration({ keyPath: ['settings'], valueToMerge: { limit: 9 }, timestamp: later(false) });
    const event = (await subscription.next()).configurationUpdateEvent;
    await subscription.close();
    const { value } = await client.getConfiguration({ keyPath: ['settings', 'limit'] });
    return { component: event.componentName, keyPath: event.keyPath, value };
  },
  'update configuration at a whole second': () =>
    attempt(() => client.updateConfiguration({ keyPath: ['settings'], valueToMerge: { second: 1 }, timestamp: later(true) })),
  async 'update configuration of the past'() {
    const answer = await attempt(() =>
      client.updateConfiguration({ keyPath: ['settings'], valueToMerge: { name: 'past' }, timestamp: new Date(1500) }));
    const { value } = await client.getConfiguration({ keyPath: ['settings', 'name'] });
    return { answer, value };
  },
  'update configuration, an object onto a leaf': () =>
    attempt(() => client.updateConfiguration({ keyPath: ['text'], valueToMerge: { x: 1 }, timestamp: later(false) })),
  'subscribe to missing configuration': () =>
    openAndClose(() => client.subscribeToConfigurationUpdate({ keyPath: ['none'] })),

  'update state': () => attempt(() => client.updateState({ state: ReportedLifecycleState.RUNNING })),

  async shadow() {
    const shadowName = 'interop-js', name = { thingName: thing, shadowName };
    const content = (response) => JSON.parse(Buffer.from(response.payload).toString());
    const missing = await attempt(() => client.getThingShadow(name));
    const update = (document) => client.updateThingShadow({ ...name, payload: Buffer.from(JSON.stringify(document)) });
    if (missing.error !== 'ResourceNotFoundError') {
      return [missing.error, (await attempt(() => update({ state: {} }))).error,
        (await attempt(() => client.listNamedShadowsForThing({ thingName: thing }))).error,
        (await attempt(() => client.deleteThingShadow(name))).error];
    }
    const accepted = await subscribe(`$aws/things/${thing}/shadow/name/${shadowName}/update/accepted`);
    const updated = content(await update({ state: { desired: { speed: 5 }, reported: { speed: 4 } } }));
    const event = JSON.parse(Buffer.from((await accepted.next()).binaryMessage.message).toString());
    await accepted.close();
    const got = content(await client.getThingShadow(name));
    const conflict = await attempt(() => update({ state: { desired: { speed: 6 } }, version: 7 }));
    const invalid = await attempt(() => update({ state: 5 }));
    const { results } = await client.listNamedShadowsForThing({ thingName: thing });
    await client.deleteThingShadow(name);
    return {
      updated: { state: updated.state, version: updated.version }, event: { state: event.state, version: event.version },
      got: { state: got.state, version: got.version }, conflict, invalid, listed: results.includes(shadowName),
      deleted: await attempt(() => client.getThingShadow(name)),
    };
  },
  'shadow unauthorized': () => attempt(() => client.getThingShadow({ thingName: 'another' })),

  async 'validation of configurations'() { // no deployment has asked for a report
    const configurationValidityReport = { status: 'ACCEPTED', deploymentId: 'x' };
    return {
      subscribed: await openAndClose(() => client.subscribeToValidateConfigurationUpdates({})),
      report: await attempt(() => client.sendConfigurationValidityReport({ configurationValidityReport })),
    };
  },

  async 'operations without a provider'() {
    const componentName = 'com.edgepdm.Other', deploymentId = '3a1b7c52-0d5e-4a52-9f06-5e0c1c6f2a11';
    const requests = {
      AuthorizeClientDeviceAction: { clientDeviceAuthToken: 'x', operation: 'x', resource: 'x' },
      CancelLocalDeployment: { deploymentId },
      CreateDebugPassword: {},
      CreateLocalDeployment: { rootComponentVersionsToAdd: new Map([[componentName, '1.0.0']]) },
      DeferComponentUpdate: { deploymentId },
      GetClientDeviceAuthToken: { credential: { mqttCredential: { clientId: 'x' } } },
      GetComponentDetails: { componentName },
      GetLocalDeploymentStatus: { deploymentId },
      GetSecretValue: { secretId: 'x' },
      ListComponents: {},
      ListLocalDeployments: {},
      PauseComponent: { componentName },
      PutComponentMetric: { metrics: [{ name: 'x', unit: 'COUNT', value: 1 }] },
      RestartComponent: { componentName },
      ResumeComponent: { componentName },
      StopComponent: { componentName },
      SubscribeToCertificateUpdates: { certificateOptions: { certificateType: 'SERVER' } },
      SubscribeToComponentUpdates: {},
      ValidateAuthorizationToken: { token: 'x' },
      VerifyClientDeviceIdentity: { credential: { clientDeviceCertificate: 'x' } },
    };
    const seen = {};
    for (const [operation, request] of Object.entries(requests)) {
      const method = client[operation[0].toLowerCase() + operation.slice(1)].bind(client);
      seen[operation] = await (operation.startsWith('SubscribeTo') ? openAndClose(() => method(request)) : attempt(() => method(request)));
    }
    return seen;
  },
};

async function main() {
  client = greengrasscoreipc.createClient();
  await client.connect();
  for (const [name, run] of Object.entries(cases)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    let timer;
    const patience = new Promise((resolve) => { timer = setTimeout(resolve, 10_000, { error: 'it took more than 10 s' }); });
    const seen = await Promise.race([attempt(run), patience]);
    clearTimeout(timer);
    console.log(JSON.stringify({ case: name, seen }));
  }
  await client.close();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
