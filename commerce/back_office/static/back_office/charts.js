"use strict";

// A bar of a chart leads to the orders behind it; the same links stand as a list below the chart.

function linkAt(canvas, event) {
  const chart = window.Chart?.getChart(canvas);
  const mode = chart?.options.indexAxis === "y" ? "y" : "x";
  const [found] = chart?.getElementsAtEventForMode(event, "nearest", { axis: mode, intersect: false }, true) ?? [];
  return found && chart.data.datasets[found.datasetIndex].links?.[found.index];
}

document.addEventListener("DOMContentLoaded", () => {
  for (const canvas of document.querySelectorAll("canvas.chart")) {
    canvas.addEventListener("click", (event) => {
      const link = linkAt(canvas, event);
      if (link) {
        window.location.assign(link);
      }
    });
    canvas.addEventListener("mousemove", (event) => {
      canvas.style.cursor = linkAt(canvas, event) ? "pointer" : "";
    });
  }
});
