/** The one style sheet of the page, in its head: its hash is in the Content-Security-Policy, so no other style can come in. */
import { createHash } from 'node:crypto';

export const pageStyle = `
:root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--text:#1d2125;--soft:#626a73;--line:#e3e5e8;--link:#0b5cad;--mark:#eef3f8;--bar:#4c8fd0}
@media(prefers-color-scheme:dark){:root{--page:#15181b;--card:#1d2125;--text:#e4e7ea;--soft:#98a1ab;--line:#31373d;--link:#7fb8f0;--mark:#262d34;--bar:#5b9bd8}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
header{background:var(--card);border-bottom:1px solid var(--line)}
header>div,main,footer{max-width:72rem;margin:0 auto;padding:.8rem 1.2rem}
header>div{display:flex;gap:1rem;align-items:center;flex-wrap:wrap}
header .name{font-weight:650;color:var(--text);margin-right:auto}
header .who{color:var(--soft);font-size:.9rem}
form{display:flex;gap:.4rem}
input,button{font:inherit;padding:.3rem .7rem;border:1px solid var(--line);border-radius:.4rem;background:var(--page);color:inherit}
button{background:var(--mark);cursor:pointer}
h1{font-size:1.45rem;margin:1rem 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.8rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft)}.small{font-size:.86rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.5rem .9rem;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--soft);font-weight:500;font-size:.86rem}
tbody:first-child tr:first-child>*{border-top:0}
tbody th{font-weight:500;color:var(--soft);white-space:nowrap;width:11rem}
td.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}th.number{text-align:right}
tr.empty td{color:var(--soft)}
code,pre{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:.86rem;unicode-bidi:isolate}
td code,p code{overflow-wrap:anywhere}td pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
pre.command{background:var(--mark);border-radius:.4rem;padding:.6rem .9rem;margin:.4rem 0;overflow-x:auto;user-select:all}
.facts{display:flex;gap:.5rem;flex-wrap:wrap;margin:.6rem 0;padding:0;list-style:none}
.facts li{background:var(--mark);border-radius:1rem;padding:.1rem .75rem;font-size:.86rem}
meter{width:7rem;height:.7rem;vertical-align:middle}
meter::-webkit-meter-bar{background:var(--mark);border:0;border-radius:.3rem}meter::-webkit-meter-optimum-value{background:var(--bar)}
nav.pages{display:flex;gap:1rem;margin:.8rem 0}
footer{color:var(--soft);font-size:.86rem;padding-bottom:2.5rem}
`;

export const pageStyleSource = `'sha256-${createHash('sha256').update(pageStyle).digest('base64')}'`;
