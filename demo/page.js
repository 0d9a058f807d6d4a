// A click, Enter or a blank on a sentence opens its probabilities below its paragraph; Escape or a second click closes them.
(() => {
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text; // never innerHTML: what is drawn here came from outside
    return node;
  };

  const close = () => {
    document.querySelectorAll(".fw-panel").forEach((panel) => panel.remove());
    document.querySelectorAll('.fw-s[aria-expanded="true"]').forEach((s) => s.setAttribute("aria-expanded", "false"));
  };

  const bar = ([name, score, colour, held, uncertain]) => {
    const row = make("div", "fw-bar" + (held ? " fw-held" : ""));
    row.style.setProperty("--c", colour);
    const fill = make("span", "fw-fill" + (uncertain ? " fw-unsure" : ""));
    fill.style.width = `${score * 100}%`;
    const track = make("span", "fw-track");
    track.append(fill);
    const percent = `${Math.round(score * 100)}%` + (uncertain ? ", uncertain" : "");
    row.append(make("span", "fw-name", (held ? "✓ " : "") + name), make("span", "fw-count", percent), track);
    return row;
  };

  const open = (sentence, byKey) => {
    close();
    const panel = make("aside", "fw-panel");
    panel.setAttribute("role", "status");
    panel.tabIndex = -1;
    panel.setAttribute("aria-label", `Probabilities of sentence ${sentence.dataset.n}`);
    panel.append(make("p", "fw-panel-title", `Sentence ${sentence.dataset.n}`));
    for (const [title, rows] of JSON.parse(sentence.dataset.scores)) {
      const group = make("div", "fw-group");
      group.append(make("p", "fw-group-title", title), ...rows.map(bar));
      panel.append(group);
    }
    const buttons = make("div", "fw-buttons");
    if (document.querySelector("#chosen input")) {
      const correct = make("button", "fw-button", "Correct this sentence");
      correct.onclick = () => choose(sentence.dataset.n);
      buttons.append(correct);
    }
    if (document.querySelector("#explain")) {
      const ask = make("button", "fw-button", "Which words drove this?");
      ask.onclick = () => { ask.disabled = true; ask.textContent = "Leaving out each word in turn ..."; document.querySelector("#explain").click(); };
      buttons.append(ask);
    }
    const shut = make("button", "fw-button", "Close");
    shut.onclick = () => { close(); sentence.focus(); };
    buttons.append(shut);
    panel.append(buttons);
    sentence.closest("p, h2, h3").after(panel);
    sentence.setAttribute("aria-expanded", "true");
    choose(sentence.dataset.n, false);
    // The panel stands behind its paragraph, so that the next Tab would go to the next sentence and not to the panel's buttons.
    if (byKey) panel.focus();
  };

  // The form listens to its number field; 'visit' also goes there.
  const choose = (number, visit = true) => {
    const field = document.querySelector("#chosen input");
    if (!field) return;
    field.value = number;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (!visit) return;
    document.querySelector("#correct").scrollIntoView({ block: "start" });
    field.focus({ preventScroll: true });
  };

  // The service writes its answer, escaped, into a hidden place; a copy of it goes into the panel of its sentence.
  const explained = () => {
    const answer = document.querySelector("#words [data-n]:not([data-taken]), #words .fw-error:not([data-taken])");
    const opened = document.querySelector('.fw-s[aria-expanded="true"]');
    const panel = document.querySelector(".fw-panel");
    if (!answer || !panel) return;
    answer.dataset.taken = "";
    if (answer.dataset.n && answer.dataset.n !== opened?.dataset.n) return; // of a sentence that was closed meanwhile
    panel.querySelector(".fw-words")?.remove();
    const words = make("div", "fw-words");
    words.append(answer.cloneNode(true));
    panel.querySelector(".fw-buttons").before(words);
    [...panel.querySelectorAll(".fw-button")].find((button) => button.disabled)?.remove();
  };
  new MutationObserver(explained).observe(document, { childList: true, subtree: true });

  const toggle = (sentence, byKey) => (sentence.getAttribute("aria-expanded") === "true" ? close() : open(sentence, byKey));

  document.addEventListener("click", (event) => {
    const sentence = event.target.closest?.(".fw-s");
    if (sentence && !String(getSelection())) toggle(sentence); // selecting words is no click
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const opened = document.querySelector('.fw-s[aria-expanded="true"]');
      close();
      opened?.focus();
    }
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.(".fw-s")) {
      event.preventDefault();
      toggle(event.target, true);
    }
  });
})();
