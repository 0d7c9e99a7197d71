function takeKeys(root) {
  for (const input of root.querySelectorAll("input, select")) {
    input.dataset.lmSuppressShortcuts = "true"; // its arrow keys are no commands of JupyterLab
  }
}

