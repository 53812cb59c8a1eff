"use strict";

// What the markup of the libraries lacks for keyboards and screen readers, added to the page and to what it loads later.

// The ligatures of the icon font are words, which would be read aloud.
function hideIcons(root) {
  for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
    icon.setAttribute("aria-hidden", "true");
  }
}

// A select2 that shows no value has no name; it gets that of the field's label.
function nameChoices(root) {
  const boxes = ".select2-selection:not([aria-label]), .select2-selection__rendered[role]:not([aria-label])";
  for (const box of root.querySelectorAll(boxes)) {
    const select = box.closest(".select2-container")?.previousElementSibling;
    const label = select?.labels?.[0] ?? box.closest("div")?.querySelector("label, h3");
    const name = label?.textContent.trim() || select?.getAttribute("aria-label") || select?.name;
    if (name) {
      box.setAttribute("aria-label", name);
    }
  }
}

// Django's help beside the boxes of groups and rights is an icon with a name.
function nameHelp(root) {
  for (const help of root.querySelectorAll("span[aria-label]:not([role])")) {
    help.setAttribute("role", "img");
  }
}

// The library's tabs are links in a list without items.
function unlistTabs(root) {
  for (const list of root.querySelectorAll("ul:has(> a):not([role])")) {
    list.setAttribute("role", "group");
    for (const item of list.querySelectorAll(":scope > li")) {
      item.setAttribute("role", "presentation");
    }
  }
}

// What looks like a button can be reached with Tab and pressed with Enter or Space.
function reachByKeyboard(root) {
  const own = "a[href], button, input, select, textarea, label, summary, [tabindex]";
  for (const element of root.querySelectorAll(".cursor-pointer[x-on\\:click]")) {
    const text = element.cloneNode(true);
    text.querySelectorAll("[aria-hidden]").forEach((hidden) => hidden.remove());
    const isNamed = element.hasAttribute("aria-label") || text.textContent.trim();
    if (!isNamed || element.matches(own) || element.querySelector(own)) {
      continue;
    }
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.addEventListener("keydown", (event) => {
      if (event.target === element && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        element.click();
      }
    });
  }
}

function improve(root) {
  for (const step of [hideIcons, nameChoices, nameHelp, unlistTabs, reachByKeyboard]) {
    step(root);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  improve(document);
  new MutationObserver(() => improve(document)).observe(document.body, { childList: true, subtree: true });
});
