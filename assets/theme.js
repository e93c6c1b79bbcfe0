// Dark or light as the system has it, or as somebody chose on this device. Runs before anything is drawn.
(() => {
  const root = document.documentElement;
  // A browser may refuse to keep anything; the page then follows the system.
  const kept = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  };
  const keep = (theme) => {
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Chosen for this page only.
    }
  };
  const known = ["light", "dark"];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  if (known.includes(kept())) {
    root.dataset.theme = kept();
  }
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    if (!button) {
      return;
    }
    const name = () => {
      button.textContent = current() === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", current() === "dark" ? "Light colours" : "Dark colours");
    };
    name();
    button.hidden = false;
    system.addEventListener("change", name);
    button.addEventListener("click", () => {
      root.dataset.theme = current() === "dark" ? "light" : "dark";
      keep(root.dataset.theme);
      name();
    });
  });
})();
