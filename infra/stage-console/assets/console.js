// What pages do beyond links and forms: they follow the stage, and upload with a progress bar.
"use strict";

const SCRIPT = { "x-console-script": "1" };

// The address from the terminal holds the key. It is not to stay in the address bar, or in the history.
const here = new URL(location.href);
if (here.searchParams.has("key")) {
  here.searchParams.delete("key");
  history.replaceState(null, "", here);
}

// Following: each change on the stage makes the page look at itself anew, and replace what has changed.
let looking = false;
let lookAgain = false;

async function look() {
  if (looking || document.hidden) {
    lookAgain = true;
    return;
  }
  looking = true;
  lookAgain = false;
  try {
    const answer = await fetch(location.href, { headers: SCRIPT });
    if (answer.ok) {
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live][id]")) {
        const fresh = now.getElementById(old.id);
        if (fresh) replace(old, fresh);
      }
    }
  } catch {
    // The stream of events tells that the stage has gone.
  } finally {
    looking = false;
    if (lookAgain) look();
  }
}

function replace(old, fresh) {
  const opened = [...old.querySelectorAll("details[open][id]")].map((details) => details.id);
  for (const id of opened) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  // Who types here is not to be disturbed.
  if (focused && focused.matches("input, textarea, select")) return;
  if (old.innerHTML === fresh.innerHTML) return;
  const follows = old.dataset.live === "end" && isAtEnd(old);
  const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  const link = focused?.getAttribute("href");
  old.replaceChildren(...fresh.childNodes);
  old.querySelectorAll(".scroll").forEach((part, index) => { part.scrollLeft = scrolled[index] ?? 0; });
  if (link) old.querySelector(`[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
  if (follows) toEnd(old);
}

function isAtEnd(part) {
  return part.scrollHeight - part.scrollTop - part.clientHeight < 40;
}

function toEnd(part) {
  part.scrollTop = part.scrollHeight;
}

if (document.querySelector("[data-live]")) {
  document.querySelectorAll('[data-live="end"]').forEach(toEnd);
  const lost = document.querySelector(".lost");
  const events = new EventSource("/live");
  events.addEventListener("change", look);
  events.addEventListener("error", () => { if (lost) lost.hidden = false; });
  events.addEventListener("open", () => {
    if (lost && !lost.hidden) {
      lost.hidden = true;
      look();
    }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && lookAgain) look(); });
}

// Choices that are made at once.
for (const choice of document.querySelectorAll("form[data-at-once] select, form[data-at-once] input[type=checkbox]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}

// Samples to begin with.
for (const choice of document.querySelectorAll("select[data-fills]")) {
  choice.addEventListener("change", () => {
    const text = document.getElementById(choice.dataset.fills);
    text.value = choice.selectedOptions[0].dataset.text;
  });
}

// Uploads.
for (const form of document.querySelectorAll("form[data-upload]")) {
  const input = form.querySelector("input[type=file]");
  const said = form.querySelector(".said");
  const bar = form.querySelector("progress");

  const send = (files) => {
    if (files.length === 0) return;
    const data = new FormData();
    for (const name of ["token", "prefix"]) data.append(name, form.elements[name].value);
    for (const file of files) data.append("file", file);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    for (const [name, value] of Object.entries(SCRIPT)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) bar.value = event.loaded / event.total;
    });
    request.addEventListener("loadend", () => {
      bar.hidden = true;
      input.value = "";
      form.classList.toggle("failed", request.status !== 200);
      said.textContent = request.responseText || "The stage does not answer.";
      look();
    });
    bar.value = 0;
    bar.hidden = false;
    said.textContent = files.length === 1 ? `Uploading ${files[0].name}` : `Uploading ${files.length} files`;
    request.send(data);
  };

  input.addEventListener("change", () => send(input.files));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(input.files);
  });
  for (const name of ["dragenter", "dragover"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    form.addEventListener(name, (event) => {
      event.preventDefault();
      form.classList.remove("over");
    });
  }
  form.addEventListener("drop", (event) => send(event.dataTransfer.files));
}
