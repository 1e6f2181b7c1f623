/** The one style of a report: of the system's own fonts, light and dark, and for paper. */

export const style = `
:root{color-scheme:light dark;--ink:#1c2128;--soft:#57606a;--back:#fff;--card:#f6f8fa;--line:#d0d7de;--go:#116329;--stop:#b42318;--warn:#8a5300;--mark:#0757b3;font:15px/1.5 system-ui,sans-serif}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--back:#0f141a;--card:#181f27;--line:#343d48;--go:#4cc26a;--stop:#ff8f85;--warn:#f0b34a;--mark:#79b8ff}}
*{box-sizing:border-box}body{margin:0;color:var(--ink);background:var(--back)}main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.25rem 0 .5rem}h2{font-size:1.15rem;margin:2.5rem 0 .5rem;padding-top:.5rem;border-top:2px solid var(--line)}h3{font-size:1rem;margin:1.25rem 0 .25rem}p{margin:.4rem 0}
.soft{color:var(--soft)}.mono,code{font:.86em/1.5 ui-monospace,monospace;overflow-wrap:anywhere}pre{font:.86em/1.5 ui-monospace,monospace;white-space:pre-wrap;margin:.5rem 0;padding:.5rem .75rem;background:var(--card);border:1px solid var(--line);border-radius:6px}
.badge{display:inline-block;padding:0 .55rem;border:1px solid currentColor;border-radius:1rem;font-size:.82rem;font-weight:600;white-space:nowrap;color:var(--soft)}.go{color:var(--go)}.stop{color:var(--stop)}.warn{color:var(--warn)}
dl{display:grid;grid-template-columns:11rem 1fr;margin:.5rem 0;border-top:1px solid var(--line)}dt,dd{margin:0;padding:.35rem 0;border-bottom:1px solid var(--line);min-width:0}dt{color:var(--soft);padding-right:1rem}
.sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;margin:1rem 0;padding:0;list-style:none}.sums li{border:1px solid var(--line);border-radius:8px;background:var(--card);padding:.5rem .75rem}.sums b{display:block;font-size:1.5rem;line-height:1.2}
table{width:100%;border-collapse:collapse;margin:.5rem 0;font-size:.93rem}th{text-align:left;font-weight:600;color:var(--soft);font-size:.85rem}th,td{padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.t{white-space:nowrap;font-variant-numeric:tabular-nums}thead{display:table-header-group}tr{break-inside:avoid}
.time td:first-child{border-left:4px solid var(--line);padding-left:.75rem}.time tr.call td:first-child{border-left-color:var(--go)}.time tr.no td:first-child{border-left-color:var(--stop)}.time tr.ask td:first-child{border-left-color:var(--warn)}.time tr.lent td:first-child{border-left-color:var(--mark)}.time tr.read td{background:var(--card)}
.tree,.tree ul{list-style:none;margin:0;padding:0}.tree ul{margin-left:.6rem;padding-left:1rem;border-left:2px solid var(--line)}.tree li{padding:.35rem 0}
.note{border-left:4px solid var(--warn);background:var(--card);padding:.5rem .9rem;margin:.75rem 0}nav{margin:.75rem 0}nav a{color:inherit;margin-right:1rem}.plain{margin:0;padding-left:1.1rem}
@media(max-width:40rem){dl{grid-template-columns:1fr}dt{border:0;padding-bottom:0}td.t{white-space:normal}.wide{overflow-x:auto}}
@media print{:root{--ink:#000;--soft:#444;--back:#fff;--card:#fff;--line:#aaa;--go:#063;--stop:#900;--warn:#630;--mark:#036;font-size:10pt}nav{display:none}main{max-width:none;padding:0}h2,h3{break-after:avoid}@page{margin:16mm}}
`
