// What the page does when a script may run; it says the same without.
async function copy(text, pressed) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(element("textarea", {}, text));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = pressed.textContent;
  pressed.textContent = "copied";
  setTimeout(() => { pressed.textContent = before; }, 1200);
}

function enlivenTables() {
  for (const wrap of document.querySelectorAll("[data-table]")) {
    const texts = DATA.tables[wrap.dataset.table] || {};
    const buttons = Object.entries(texts).map(([kind, text]) => button(`copy ${kind}`, null, event => copy(text, event.target), `copy this table as ${kind}`));
    if (buttons.length) wrap.before(element("div", {class: "copy"}, ...buttons));
  }
  for (const block of document.querySelectorAll("pre.copyable")) {
    block.before(element("div", {class: "copy"}, button("copy", null, event => copy(block.textContent.trim(), event.target), "copy these commands")));
  }
}

// What is folded away is printed too; the runs are left to their files.
function unfoldToPrint() {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not(.runs):not([open])")];
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
}

enliven();
enlivenRuns();
enlivenTables();
unfoldToPrint();
