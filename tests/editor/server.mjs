// yaml-language-server over stdio: as much of the protocol as the test needs.

import { spawn } from "node:child_process";
import { pathToFileURL } from "node:url";

/** Longest wait for an answer, in milliseconds. */
const ANSWER_MAX = 15_000;

export class Server {
  #child;
  #buffer = Buffer.alloc(0);
  #next = 1;
  #waiting = new Map();
  #published = new Map();
  #settings;

  constructor(program, schema) {
    this.#settings = {
      yaml: {
        schemas: { [pathToFileURL(schema).href]: ["*.yaml"] },
        schemaStore: { enable: false },
        kubernetesCRDStore: { enable: false },
        completion: true,
        hover: true,
        validate: true,
      },
    };
    this.#child = spawn(process.execPath, [program, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout.on("data", (bytes) => this.#read(bytes));
    this.#child.on("exit", (code) => {
      for (const { fail } of this.#waiting.values()) fail(new Error(`the server ended with ${code}`));
    });
  }

  async start(folder) {
    const dynamic = { dynamicRegistration: true };
    await this.#ask("initialize", {
      processId: process.pid,
      rootUri: pathToFileURL(folder).href,
      workspaceFolders: null,
      capabilities: {
        workspace: { configuration: true, didChangeConfiguration: dynamic },
        textDocument: { hover: { contentFormat: ["markdown"] }, completion: { completionItem: { snippetSupport: true } } },
      },
    });
    this.#tell("initialized", {});
    this.#tell("workspace/didChangeConfiguration", { settings: this.#settings });
  }

  /** Opens a document and gives its diagnostics. */
  async open(uri, text) {
    const published = new Promise((done) => this.#published.set(uri, done));
    this.#tell("textDocument/didOpen", { textDocument: { uri, languageId: "yaml", version: 1, text } });
    return within(published, `diagnostics of ${uri}`);
  }

  complete(uri, position) {
    return this.#ask("textDocument/completion", { textDocument: { uri }, position });
  }

  hover(uri, position) {
    return this.#ask("textDocument/hover", { textDocument: { uri }, position });
  }

  stop() {
    this.#child.removeAllListeners("exit");
    this.#child.kill();
  }

  #ask(method, params) {
    const id = this.#next++;
    const answer = new Promise((done, fail) => this.#waiting.set(id, { done, fail }));
    this.#send({ id, method, params });
    return within(answer, method);
  }

  #tell(method, params) {
    this.#send({ method, params });
  }

  #send(message) {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #read(bytes) {
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
    for (;;) {
      const end = this.#buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/Content-Length: (\d+)/i.exec(this.#buffer.toString("latin1", 0, end))[1]);
      if (this.#buffer.length < end + 4 + length) return;
      const body = this.#buffer.toString("utf8", end + 4, end + 4 + length);
      this.#buffer = this.#buffer.subarray(end + 4 + length);
      this.#take(JSON.parse(body));
    }
  }

  #take(message) {
    if (message.method === undefined) {
      const { done, fail } = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) fail(new Error(message.error.message));
      else done(message.result);
    } else if (message.method === "textDocument/publishDiagnostics") {
      this.#published.get(message.params.uri)?.(message.params.diagnostics);
    } else if (message.method === "workspace/configuration") {
      const sections = message.params.items.map(({ section }) => this.#settings[section] ?? null);
      this.#send({ id: message.id, result: sections });
    } else if (message.id !== undefined) {
      this.#send({ id: message.id, result: null });
    }
  }
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer in time: ${what}`)), ANSWER_MAX);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
