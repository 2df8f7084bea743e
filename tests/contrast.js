// Gives the words on the page whose contrast with their ground is below WCAG 2.1 AA: [words, contrast] each.
() => {
  const rgba = (colour) => {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    const [red, green, blue] = colour.startsWith("color(srgb") ? numbers.map((part) => part * 255) : numbers;
    return [red, green, blue, numbers[3] ?? 1];
  };
  const over = (top, ground) => [0, 1, 2].map((i) => top[i] * top[3] + ground[i] * (1 - top[3]));
  const groundOf = (element) => {
    const layers = [];
    for (; element; element = element.parentElement) layers.unshift(rgba(getComputedStyle(element).backgroundColor));
    return layers.reduce((ground, layer) => over(layer, ground), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const linear = colour.map((part) => (part > 10 ? ((part / 255 + 0.055) / 1.055) ** 2.4 : part / 255 / 12.92));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!words || element.closest("script, style, [disabled]")) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element), ground = groundOf(element);
    const [low, high] = [ground, over(rgba(style.color), ground)].map(luminance).sort((a, b) => a - b);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.7 && style.fontWeight >= 700);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < (large ? 3 : 4.5)) weak.push([words, contrast.toFixed(2)]);
  }
  return weak;
}
