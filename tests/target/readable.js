// Run in a page: returns one line for each text without enough contrast, id used twice, or target below 24 px.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
canvas.canvas.width = canvas.canvas.height = 1;
const rgb = (...layers) => {  // colours painted over each other, as the screen shows them
  canvas.fillStyle = "#fff";
  canvas.fillRect(0, 0, 1, 1);
  for (const layer of layers) { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const luminance = colour => colour.map(part => part / 255)
  .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
const grounds = element => element ? [...grounds(element.parentElement), getComputedStyle(element).backgroundColor] : [];
const seen = element => element.checkVisibility() && element.getClientRects().length && !element.closest(".unseen, noscript, svg");
const exempt = element => element.closest("[aria-disabled=true], :disabled");
const problems = [];

for (const element of document.body.querySelectorAll("*")) {
  const text = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data.trim()).join("");
  if (!text || !seen(element) || exempt(element)) continue;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize);
  const behind = grounds(element), ratio = contrast(rgb(...behind, style.color), rgb(...behind));
  const enough = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  if (ratio < enough) problems.push(`contrast ${ratio.toFixed(2)} of ${JSON.stringify(text.slice(0, 40))}`);
}
for (const control of document.querySelectorAll("button, .button, input:not([type=radio]), select, [role=gridcell]")) {
  const { width, height } = control.getBoundingClientRect();
  if (seen(control) && (width < 24 || height < 24)) problems.push(`${width}x${height} px: ${control.outerHTML.slice(0, 80)}`);
}
const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
problems.push(...ids.filter((id, n) => ids.indexOf(id) !== n).map(id => `id ${id} is used twice`));
if (document.documentElement.scrollWidth > innerWidth) problems.push(`the page is ${document.documentElement.scrollWidth} px wide`);
return problems;
