// What an editor offers, explains and underlines. `▮` is the cursor.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Server } from "./server.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, "../..");
const schemaFile = path.join(root, "schemas/json/playbooks.schema.json");
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));
const server = new Server(path.join(here, "node_modules/yaml-language-server/bin/yaml-language-server"), schemaFile);

const HEAD = "apiVersion: regreen/v1\nplaybook: a\n";
const keysOf = (definition) => Object.keys(schema.definitions[definition].properties);
const actions = schema.definitions.step.properties.use.anyOf[0].enum;

let opened = 0;
const uriOf = () => pathToFileURL(path.join(here, `opened-${++opened}.yaml`)).href;

/** Opens a text with a cursor. */
async function at(text) {
  const before = text.slice(0, text.indexOf("▮")).split("\n");
  const uri = uriOf();
  await server.open(uri, text.replace("▮", ""));
  return [uri, { line: before.length - 1, character: before.at(-1).length }];
}

async function offered(text) {
  const { items } = await server.complete(...(await at(text)));
  return items.map((item) => item.label);
}

async function hovered(text) {
  const hover = await server.hover(...(await at(text)));
  return hover?.contents?.value ?? "";
}

const problems = async (text) => (await server.open(uriOf(), text)).map(({ message }) => message);

function includes(found, wanted, where) {
  const missing = wanted.filter((word) => !found.includes(word));
  assert.deepEqual(missing, [], `${where}: not offered; offered were ${found.join(", ")}`);
}

const tests = {
  "the kinds of documents are offered": async () => {
    const kinds = ["playbook", "tests", "inventory", "checks", "policy", "actions"];
    includes(await offered("apiVersion: regreen/v1\n▮"), kinds, "a new document");
  },
  "every key of a playbook is offered": async () => {
    const left = keysOf("playbook").filter((key) => !["apiVersion", "playbook"].includes(key));
    includes(await offered(`${HEAD}▮`), left, "a playbook");
  },
  "every key of a step is offered": async () => {
    const left = keysOf("step").filter((key) => key !== "id");
    includes(await offered(`${HEAD}steps:\n  - id: a\n    ▮`), left, "a step");
  },
  "every key of a guard is offered": async () => {
    includes(await offered(`${HEAD}guard:\n  ▮\n`), keysOf("guard"), "a guard");
  },
  "every action is offered": async () => {
    includes(await offered(`${HEAD}steps:\n  - id: a\n    use: ▮`), actions, "use");
  },
  "every parameter of the action is offered": async () => {
    for (const action of actions) {
      const found = await offered(`${HEAD}steps:\n  - id: a\n    use: ${action}\n    with:\n      ▮`);
      includes(found, keysOf(`with-of-${action}`), action);
    }
  },
  "only parameters of the action are offered": async () => {
    const found = await offered(`${HEAD}steps:\n  - id: a\n    use: notify.send\n    with:\n      ▮`);
    assert.ok(!found.includes("method"), found.join(", "));
  },
  "words are offered": async () => {
    includes(await offered(`${HEAD}mode: ▮`), ["observe", "approve", "auto"], "mode");
    const check = "apiVersion: regreen/v1\nchecks:\n  a:\n    kind: http\n    measure: ▮";
    includes(await offered(check), ["latency", "tls_days", "value"], "measure");
  },
  "what a kind of check needs is offered": async () => {
    const found = await offered("apiVersion: regreen/v1\nchecks:\n  a:\n    kind: dns\n    with:\n      ▮");
    includes(found, keysOf("with-of-dns"), "dns");
  },
  "a key is explained with its default and an example": async () => {
    const text = await hovered(`${HEAD}dead▮line: 4h\nsteps:\n  - {id: a, wait: 5s}\n`);
    for (const part of ["No step begins later", "`1h`", "deadline: 4h"]) assert.ok(text.includes(part), text);
  },
  "a key of a guard is explained": async () => {
    const text = await hovered(`${HEAD}guard:\n  cool▮down: 1h\nsteps:\n  - {id: a, wait: 5s}\n`);
    assert.ok(text.includes("the last run on the same target"), text);
  },
  "an action is explained": async () => {
    const text = await hovered(`${HEAD}steps:\n  - id: a\n    use: http.req▮uest\n    with: {url: x}\n`);
    assert.ok(text.includes("Sends one HTTP request"), text);
  },
  "a parameter is explained": async () => {
    const text = await hovered(`${HEAD}steps:\n  - id: a\n    use: http.request\n    with:\n      ur▮l: x\n`);
    assert.ok(text.includes("http or https"), text);
  },
  "slips are underlined": async () => {
    const step = (rest) => `${HEAD}steps:\n  - ${rest}\n`;
    const slips = [
      [`${HEAD}mod: auto\nsteps:\n  - {id: a, wait: 5s}\n`, /mod/],
      [step("{id: a, wait: 5s, retires: 3}"), /retires/],
      [step("{id: a, use: http.requst, with: {url: x}}"), /accepted|http\.request/],
      [step("{id: a, use: http.request, with: {url: x, methd: GET}}"), /methd/],
      [step("{id: a, wait: 5}"), /./],
      [`${step("{id: a, wait: 5s}")}---\napiVersion: regreen/v1\npolicy: a\nreceivres: {}\n`, /receivres/],
    ];
    for (const [text, wanted] of slips) {
      const found = await problems(text);
      assert.ok(found.some((message) => wanted.test(message)), `${text}\n${found.join("\n")}`);
    }
  },
  "a cause is named in our words": async () => {
    const found = await problems(`${HEAD}deadline: 5s1h\nwhen: "{{ target }}"\nsteps:\n  - {id: a, wait: 5s}\n`);
    for (const part of ["a duration", "names stand as they are"]) {
      assert.ok(found.some((message) => message.includes(part)), found.join("\n"));
    }
  },
  "what is good has no underlines": async () => {
    const good = path.join(root, "crates/playbook/tests/good");
    const shipped = readdirSync(path.join(root, "playbooks"), { recursive: true })
      .filter((file) => file.endsWith(".yaml"))
      .map((file) => path.join(root, "playbooks", file));
    const files = ["hello.yaml", "everything.yaml", "everything.test.yaml", "set.yaml", "actions.yaml"];
    for (const file of [...shipped, ...files.map((file) => path.join(good, file))]) {
      assert.deepEqual(await problems(readFileSync(file, "utf8")), [], file);
    }
  },
};

let failed = 0;
await server.start(here);
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.message}`);
  }
}
server.stop();
console.log(failed === 0 ? `all ${Object.keys(tests).length} are well` : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
