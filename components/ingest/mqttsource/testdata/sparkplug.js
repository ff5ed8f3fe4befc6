// Makes sparkplug.json with an encoder that others wrote (Eclipse Tahu's):
//   npm install --prefix /tmp/tahu --ignore-scripts sparkplug-payload@1.0.3
//   NODE_PATH=/tmp/tahu/node_modules node sparkplug.js > sparkplug.json
// Each entry is a message: its topic below spBv1.0/ and its payload in base64.
const { encodePayload } = require("sparkplug-payload").get("spBv1.0");
const at = 1700000000000;
const metric = (name, type, value, more) => ({ name, type, value, timestamp: at, ...more });
const messages = {
  birth: ["plant/NBIRTH/node1", 0, [
    metric("bdSeq", "UInt64", 7),
    metric("Oil/Temp", "Double", 70.5, { alias: 1 }),
    metric("Speed", "Int32", -1480, { alias: 2 }),
    metric("Unwanted", "Double", 1, { alias: 3 }),
    metric("i8", "Int8", -8, { alias: 11 }),
    metric("i16", "Int16", -16, { alias: 12 }),
    metric("i64", "Int64", -64, { alias: 13 }),
    metric("u8", "UInt8", 200, { alias: 14 }),
    metric("u32", "UInt32", 4000000000, { alias: 15 }),
    metric("float", "Float", 0.25, { alias: 16 }),
    metric("bool", "Boolean", true, { alias: 17 }),
    metric("text", "String", "on", { alias: 18 }),
  ]],
  deviceBirth: ["plant/DBIRTH/node1/press", 1, [metric("Temp", "Float", 20.5, { alias: 21 }), metric("Other", "Int16", 3, { alias: 22 })]],
  data: ["plant/NDATA/node1", 2, [{ alias: 1, type: "Double", value: 71.5, timestamp: at + 1000 }, { alias: 3, type: "Double", value: 2, timestamp: at + 1000 }]],
  deviceData: ["plant/DDATA/node1/press", 4, [{ alias: 21, type: "Float", value: 21.5, timestamp: at + 1000 }]],
  gap: ["plant/NDATA/node1", 9, [{ alias: 1, type: "Double", value: 72.5, timestamp: at + 3000 }]],
  named: ["plant/NDATA/node1", 10, [metric("Oil/Temp", "Double", 73.5, { timestamp: at + 4000 })]],
  historical: ["plant/NDATA/node1", 11, [metric("Oil/Temp", "Double", 1.5, { isHistorical: true, timestamp: at + 5000 })]],
  isNull: ["plant/NDATA/node1", 12, [metric("Oil/Temp", "Double", null, { isNull: true, timestamp: at + 6000 })]],
  stale: ["plant/NDATA/node1", 13, [metric("Oil/Temp", "Double", 74.5, { timestamp: at + 7000, properties: { Unit: { type: "String", value: "C" }, Quality: { type: "Int32", value: 500 } } })]],
  good: ["plant/NDATA/node1", 14, [metric("Oil/Temp", "Double", 75.5, { timestamp: at + 8000, properties: { Quality: { type: "Int32", value: 192 } } })]],
  unknownAlias: ["plant/NDATA/node1", 15, [{ alias: 99, type: "Double", value: 1, timestamp: at }]],
  deviceRebirth: ["plant/DBIRTH/node1/press", 16, [metric("Other", "Int16", 3, { alias: 21 }), metric("Temp", "Float", 22.5, { alias: 22 })]],
  deviceDataAfter: ["plant/DDATA/node1/press", 17, [{ alias: 21, type: "Int16", value: 4, timestamp: at + 9000 }, { alias: 22, type: "Float", value: 23.5, timestamp: at + 9000 }]],
  deviceRebirthWithout: ["plant/DBIRTH/node1/press", 18, [metric("Other", "Int16", 3, { alias: 22 })]],
  deviceDataReused: ["plant/DDATA/node1/press", 19, [{ alias: 22, type: "Int16", value: 5, timestamp: at + 9500 }]],
  deviceDeath: ["plant/DDEATH/node1/press", 20, []],
  death: ["plant/NDEATH/node1", null, [metric("bdSeq", "UInt64", 7)]],
  lateDeath: ["plant/NDEATH/node1", null, [metric("bdSeq", "UInt64", 6)]],
  otherNode: ["plant/NDATA/node2", 0, [metric("Oil/Temp", "Double", 1)]],
};
const out = {};
for (const [name, [topic, seq, metrics]] of Object.entries(messages)) {
  const payload = { timestamp: at, metrics };
  if (seq !== null) payload.seq = seq;
  out[name] = { topic: "spBv1.0/" + topic, payload: Buffer.from(encodePayload(payload)).toString("base64") };
}
// A metric without its datatype, as DATA may leave it out: by the same package's protobuf, because its encoder always writes one.
const { Payload } = require("sparkplug-payload/lib/sparkplugPayloadProto").org.eclipse.tahu.protobuf;
const raw = { timestamp: at, seq: 3, metrics: [{ alias: 2, timestamp: at + 2000, intValue: -5 >>> 0 }] };
out.untyped = { topic: "spBv1.0/plant/NDATA/node1", payload: Buffer.from(Payload.encode(Payload.create(raw)).finish()).toString("base64") };
console.log(JSON.stringify(out, null, 1));
