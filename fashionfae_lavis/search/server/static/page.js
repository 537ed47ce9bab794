// The page works without this file. It adds: search as soon as a photograph is chosen, dropped or pasted, or a filter is
// clicked; products in a dialog; and short addresses.
"use strict";

const form = document.getElementById("search");
const photo = document.getElementById("photo");
const dialog = document.getElementById("dialog");
document.documentElement.classList.add("scripted");

function say(sentence) {
  const problem = document.createElement("p");
  problem.className = "problem";
  problem.textContent = sentence;
  document.getElementById("message").replaceChildren(problem);
}

function searchByPhoto() {
  const file = photo.files[0];
  const most = Number(form.dataset.most);
  if (!file) return;
  if (file.size > most) {
    say(`The photograph has more than ${most / 2 ** 20} MB: choose a smaller one.`);
    photo.value = "";
    return;
  }
  form.requestSubmit(document.getElementById("by-photo"));
}

function take(files) {
  const image = [...files].find((file) => file.type.startsWith("image/"));
  if (!image) return say("This is not a photograph: choose a file such as a JPEG or a PNG.");
  const transfer = new DataTransfer();
  transfer.items.add(image);
  photo.files = transfer.files;
  searchByPhoto();
}

function remember() {
  const focused = document.activeElement;
  if (focused?.name === "f") sessionStorage.setItem("focus", focused.value);
}

function restoreFocus() {
  const value = sessionStorage.getItem("focus");
  sessionStorage.removeItem("focus");
  if (!value) return;
  const box = document.querySelector(`input[name="f"][value="${CSS.escape(value)}"]`);
  box?.closest("details")?.setAttribute("open", "");
  box?.focus();
}

async function show(link) {
  const answer = await fetch(link.href, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  dialog.replaceChildren(page.querySelector("main") ?? page.body);
  dialog.showModal();
}

if (form) {
  photo.addEventListener("change", searchByPhoto);

  document.addEventListener("change", (event) => {
    if (event.target.form === form && event.target.type === "checkbox") {
      remember();
      form.requestSubmit();
    }
  });

  // Leave empty fields, and a photograph's name, out of the address.
  form.addEventListener("submit", (event) => {
    document.body.setAttribute("aria-busy", "true");
    if ((event.submitter?.formMethod || form.method) !== "get") return;
    for (const field of form.elements) if (field.name && !field.value && field !== event.submitter) field.disabled = true;
    photo.disabled = true;
  });
  addEventListener("pageshow", () => {
    document.body.removeAttribute("aria-busy");
    for (const field of form.elements) field.disabled = false;
    restoreFocus();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
    if (link && plain) {
      event.preventDefault();
      show(link).catch(() => location.assign(link.href));
    } else if (event.target === dialog || (plain && event.target.closest("dialog [data-close]"))) {
      event.preventDefault();
      dialog.close();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea") && !dialog.open) {
      event.preventDefault();
      document.getElementById("q").focus();
    }
  });

  let depth = 0; // entering a child precedes leaving its parent
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("dragenter", (event) => event.dataTransfer.types.includes("Files") && dragging(++depth > 0));
  addEventListener("dragleave", (event) => event.dataTransfer.types.includes("Files") && dragging(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging((depth = 0) > 0);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
}
