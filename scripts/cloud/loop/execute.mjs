// Executes a state machine on this machine: node execute.mjs REQUEST, with MODULES, the folder of aws-local-stepfunctions.
//
// REQUEST is a JSON file: definition, input, context, tasks (URL that answers {state, input} with the task's result, or with
// {errorType, errorMessage} and status 500), waits and retries (milliseconds of all waits and of all pauses before a retry).
// Each event of the execution is a line of JSON on stdout, the result the last one.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

// Node.js 20 lacks it, which the package wants.
Promise.withResolvers ??= () => {
  const with_ = {};
  with_.promise = new Promise((resolve, reject) => Object.assign(with_, { resolve, reject }));
  return with_;
};
const require = createRequire(`${process.env.MODULES}/`);
const { StateMachine } = require('aws-local-stepfunctions');

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// ask posts JSON and waits for the answer as long as it takes, which fetch does not.
const ask = (body) =>
  new Promise((resolve, reject) => {
    const sent = http.request(request.tasks, { method: 'POST' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part)).on('error', reject);
      answer.on('end', () => resolve({ ok: answer.statusCode === 200, text }));
    });
    sent.on('error', reject).end(JSON.stringify(body));
  });

async function run(state, input) {
  const answer = await ask({ state, input });
  const body = JSON.parse(answer.text);
  if (answer.ok) {
    return body;
  }
  const error = new Error(body.errorMessage);
  error.name = body.errorType;
  throw error;
}

const tasks = {};
const waits = {};
const retries = {};
for (const [name, state] of Object.entries(request.definition.States)) {
  if (state.Type === 'Task') {
    tasks[name] = (input) => run(name, input);
  }
  if (state.Type === 'Wait') {
    waits[name] = request.waits;
  }
  retries[name] = request.retries;
}

const machine = new StateMachine(request.definition);
const execution = machine.run(request.input, {
  overrides: { taskResourceLocalHandlers: tasks, waitTimeOverrides: waits, retryIntervalOverrides: retries },
  context: request.context,
});
execution.result.catch(() => {}); // it is awaited below
for await (const event of execution.eventLogs) {
  say({ event: event.type, state: event.state?.name, error: event.Error, cause: event.Cause });
}
try {
  say({ event: 'Result', output: await execution.result });
} catch (error) {
  say({ event: 'Error', error: error.name, cause: error.message });
  process.exitCode = 1;
}
