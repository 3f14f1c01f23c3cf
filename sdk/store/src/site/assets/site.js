// On every page: says how current this copy is, and copies commands.
"use strict";
(() => {
  const state = document.getElementById("state");
  if (typeof tilemarkState === "object") {
    const late = Date.now() > Date.parse(tilemarkState.until);
    const link = state.querySelector("a");
    link.textContent = (late ? "Out of date since " : "Good until ") + tilemarkState.words;
    state.classList.toggle("late", late);
  }
  for (const button of document.querySelectorAll("button.copy")) {
    const code = button.previousElementSibling;
    button.hidden = false;
    button.addEventListener("click", async () => {
      let done = true;
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        // No clipboard here: what is selected can be copied by hand.
        getSelection().selectAllChildren(code);
        done = false;
      }
      button.textContent = done ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
})();
