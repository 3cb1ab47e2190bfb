// The language of the pages, where it shall be another than the browser's: kept in a cookie that the server reads.

const YEAR = 31_536_000; // seconds
const choice = document.getElementById("language");

choice.addEventListener("click", () => {
  const { cookie, language } = choice.dataset;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${cookie}=${language}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
  location.reload();
});
