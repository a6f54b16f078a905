// Opens pages in a headless Chromium, light and dark, wide and narrow, with every folded part unfolded, and prints what
// axe-core finds, as JSON. With a folder, also takes a picture of each.
// usage: node look.mjs CHROMIUM FOLDER-OR-"" PAGE...
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, pictures, ...files] = process.argv.slice(2);
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const found = [];
for (const file of files)
  for (const colorScheme of ["light", "dark"])
    for (const width of [1280, 400]) {
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
      await page.goto(`file://${file}`);
      if (pictures) await page.screenshot({ path: `${pictures}/${basename(file, ".html")}-${colorScheme}-${width}.png`, fullPage: true });
      await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => window.axe.run());
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      found.push({
        file: basename(file), colorScheme, width, wide, checked: passes.length,
        violations: violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 4).map((one) => `${one.target} ${one.failureSummary}`) })),
      });
      await page.close();
    }
await browser.close();
console.log(JSON.stringify(found, null, 1));
