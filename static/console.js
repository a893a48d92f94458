"use strict";
// The drawer, the copy buttons and the sentence for a failed load. Everything works without this file, page by page.
const drawer = document.getElementById("drawer");
let opener = null;

document.addEventListener("htmx:beforeRequest", (event) => {
  const link = event.detail.elt;
  if (event.detail.target === drawer && !drawer.open) opener = link.closest("a, button");
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== drawer) return;
  if (!drawer.open) drawer.showModal();
  const first = drawer.querySelector("[autofocus], .error-summary") || drawer.querySelector("#panel-title");
  if (first) first.focus();
});

const isTyped = () => [...drawer.querySelectorAll("input, textarea, select")].some((field) =>
  field.type === "radio" || field.type === "checkbox" ? field.checked !== field.defaultChecked
    : field.type !== "hidden" && field.value !== field.defaultValue && field.tagName !== "SELECT");

function closeDrawer() {
  const asks = isTyped() || drawer.querySelector("[data-unsaved]");
  if (!asks || window.confirm(drawer.dataset.confirmClose)) drawer.close();
}

if (drawer) {
  drawer.addEventListener("cancel", (event) => { event.preventDefault(); closeDrawer(); });
  // A press that began inside, such as marking text, must not close it.
  let pressedOutside = false;
  drawer.addEventListener("pointerdown", (event) => { pressedOutside = event.target === drawer; });
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer ? pressedOutside : event.target.closest("[data-close]")) {
      event.preventDefault();
      // Nor may htmx see it: a close button is a link for whoever has no script, and would be loaded into the drawer.
      event.stopPropagation();
      closeDrawer();
    }
  }, true);
  drawer.addEventListener("close", () => {
    drawer.replaceChildren();
    // The row may have been drawn anew meanwhile: then its link stands where the old one stood.
    const again = opener && (opener.isConnected ? opener : document.querySelector(`a[href="${CSS.escape(opener.getAttribute("href") || "")}"]`));
    (again || document.getElementById("main")).focus();
    opener = null;
  });
}

// What a choice or a summary has just opened comes into view: in the drawer it may lie below the footer that stays.
document.addEventListener("change", ({ target }) => {
  if (!target.checked) return;
  for (const block of target.form?.querySelectorAll("[data-opened-by]") ?? [])
    if (target.matches(block.dataset.openedBy)) block.scrollIntoView({ block: "nearest" });
});
document.addEventListener("toggle", ({ target }) => {
  if (target.matches("details[open]")) target.lastElementChild.scrollIntoView({ block: "nearest" });
}, true);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("is-copied");
  setTimeout(() => button.classList.remove("is-copied"), 1500);
});

function showLoadError(event) {
  const { target, elt } = event.detail;
  // A list that refreshes itself keeps what it shows and asks again with its next turn.
  if (target !== drawer) return;
  drawer.replaceChildren(document.getElementById("load-error").content.cloneNode(true));
  drawer.querySelector("[data-retry]").addEventListener("click", () => { drawer.close(); elt.click(); });
  if (!drawer.open) drawer.showModal();
}
document.addEventListener("htmx:sendError", showLoadError);
document.addEventListener("htmx:responseError", showLoadError);
document.addEventListener("htmx:timeout", showLoadError);

for (const field of document.querySelectorAll("[data-submits]")) field.addEventListener("change", () => field.form.submit());
