"use strict";
// Draws each figure from the data beside it, in the colours of the page: those of the reader's system, light on paper.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const config = { displaylogo: false, showSendToCloud: false, responsive: true };

function colours(light) {
  const text = light ? "#1f2328" : "#e6edf3";
  const back = light ? "#ffffff" : "#171c24";
  return { "font.color": text, "hoverlabel.bgcolor": back, "hoverlabel.font.color": text };
}

const plots = [...document.querySelectorAll(".plot")];
for (const plot of plots) {
  const figure = JSON.parse(plot.querySelector("script").textContent);
  plot.textContent = "";
  Plotly.newPlot(plot, figure.data, figure.layout, config).then(() => Plotly.relayout(plot, colours(!dark.matches)));
}
dark.addEventListener("change", () => plots.forEach((plot) => Plotly.relayout(plot, colours(!dark.matches))));
window.addEventListener("beforeprint", () => plots.forEach((plot) => Plotly.relayout(plot, colours(true))));
window.addEventListener("afterprint", () => plots.forEach((plot) => Plotly.relayout(plot, colours(!dark.matches))));
