/*
 * Run scenarios with one official client, at the command of tests/support/driver.py.
 *
 * Usage: driver.js <package of the client> <its major version>. Each line of standard input is a command
 * {id, scenario, url, transport, params}; each line of standard output an answer: {id, said, value} while a scenario
 * runs, and {id, ok, error} when it is over. A scenario that asks for something waits for a line {id, done}. Scenarios
 * run side by side.
 */
"use strict";

const readline = require("node:readline");
const { Session } = require("./session.js");

const [, , pack, major] = process.argv;
const io = require(pack);
const scenarios = Object.assign(
  {},
  ...["data", "acks", "rooms", "namespaces", "refusals", "endings", "lifelines", "company", "edges", "recovery"].map(
    (name) => require(`./scenarios/${name}.js`),
  ),
);

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

const sessions = new Map();

async function run({ id, scenario, url, transport, params }) {
  const session = new Session({ io, major: Number(major), url, transport, params }, (said, value) =>
    answer({ id, said, value }),
  );
  sessions.set(id, session);
  try {
    if (!Object.hasOwn(scenarios, scenario)) throw new Error(`no scenario ${scenario}`);
    await scenarios[scenario](session);
    await session.check();
    answer({ id, ok: true });
  } catch (error) {
    answer({ id, ok: false, error: String((error && error.stack) || error) });
  } finally {
    sessions.delete(id);
    session.close();
  }
}

process.on("uncaughtException", (error) => answer({ crash: String(error.stack) }));
process.on("unhandledRejection", (error) => answer({ crash: String((error && error.stack) || error) }));
answer({ scenarios: Object.keys(scenarios).sort() });
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  if (command.done) sessions.get(command.id)?.done();
  else run(command);
});
lines.on("close", () => process.exit(0));
