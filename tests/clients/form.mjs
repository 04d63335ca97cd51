// A browser's own form, with script switched off: chooses a file, presses the button, and is sent back to the page.
import puppeteer from "puppeteer-core";

const [browserPath, url, file] = process.argv.slice(2);
const browser = await puppeteer.launch({
    executablePath: browserPath,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"],
});
try {
    const page = await browser.newPage();
    await page.setJavaScriptEnabled(false);
    await page.goto(url);
    const input = await page.$('form[action$="/upload"] input[type="file"]');
    await input.uploadFile(file);
    const button = await page.$('form[action$="/upload"] button, form[action$="/upload"] input[type="submit"]');
    const [answer] = await Promise.all([page.waitForNavigation(), button.click()]);
    // The page is the one it came from: the browser may have it already.
    if (![200, 304].includes(answer.status()) || page.url() !== url) {
        throw new Error(`${answer.status()} at ${page.url()}`);
    }
} finally {
    await browser.close();
}
