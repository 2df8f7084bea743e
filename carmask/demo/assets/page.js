// Runs once when the page opens: makes screen readers announce each tab's result line when it changes.
() => {
  const lines = "#line, #many-line, #correct-line, #collect-line, #dots-line";
  const announce = () => document.querySelectorAll(lines).forEach((line) => line.setAttribute("role", "status"));
  new MutationObserver(announce).observe(document.body, { childList: true, subtree: true }); // a tab is built when it is opened
  announce();
};
