/** The one style of the page: small, of the system's own fonts, light and dark, for phones and for paper. */

export const style = `
:root{color-scheme:light dark;--ink:#1c2128;--soft:#57606a;--back:#fff;--card:#f6f8fa;--line:#d0d7de;--link:#0757b3;--go:#116329;--stop:#b42318;--warn:#8a5300;--tint:#fff4e0;font:16px/1.5 system-ui,sans-serif}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--back:#0f141a;--card:#181f27;--line:#343d48;--link:#79b8ff;--go:#4cc26a;--stop:#ff8f85;--warn:#f0b34a;--tint:#2c2413}}
*{box-sizing:border-box}[hidden]{display:none!important}body{margin:0;color:var(--ink);background:var(--back)}a{color:var(--link)}
header,main{max-width:72rem;margin:0 auto;padding:.75rem 1rem}main{padding-bottom:4rem;overflow-wrap:anywhere}body{font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;gap:.5rem 1.25rem;align-items:center;border-bottom:1px solid var(--line)}
header nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;flex:1}header nav a{color:inherit;text-decoration:none;padding:.35rem 0;border-bottom:3px solid transparent}
header nav a:hover{border-color:var(--line)}header nav a[aria-current]{border-color:var(--link);font-weight:600}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--back);padding:.5rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
h1{font-size:1.5rem;line-height:1.25;margin:1rem 0 .5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.25rem 0 .25rem}p{margin:.5rem 0}
.soft,small{color:var(--soft);font-size:.9rem}code,pre,.mono{font:.875rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;margin:0;padding:.5rem .75rem;background:var(--card);border:1px solid var(--line);border-radius:6px}
.badge{display:inline-block;padding:0 .6rem;border:1px solid currentColor;border-radius:1rem;font-size:.85rem;font-weight:600;color:var(--soft);white-space:nowrap}
.badge.high,.badge.critical,.badge.stop{color:var(--stop)}.badge.medium,.badge.pending,.badge.paused{color:var(--warn)}.badge.low,.badge.approved,.badge.active{color:var(--go)}
.badge.critical,.badge.stop{background:var(--stop);color:var(--back);border-color:var(--stop)}
.head{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin-top:1rem}
dl{display:grid;grid-template-columns:10rem 1fr;margin:0;border-top:1px solid var(--line)}
dt,dd{margin:0;padding:.4rem 0;border-bottom:1px solid var(--line);min-width:0}dt{color:var(--soft);padding-right:1rem}dt::first-letter{text-transform:uppercase}dd{overflow-wrap:anywhere}dd ul{margin:0;padding-left:1.1rem}
.list{list-style:none;margin:0;padding:0}.list .list{margin-left:1.25rem;border-left:2px solid var(--line);padding-left:.75rem}
.item{display:grid;grid-template-columns:minmax(0,1fr) 15rem 14rem;gap:0 1rem;padding:.7rem 0;border-bottom:1px solid var(--line);align-items:start}.item>*{min-width:0;overflow-wrap:anywhere}
.item a{font-weight:600}.item small{display:block}
.card,fieldset{border:1px solid var(--line);border-radius:8px;background:var(--card);padding:1rem;margin:1rem 0;min-width:0}legend{font-weight:600;padding:0 .4rem}.card h2,.split h2:first-child{margin-top:0}.card>:last-child{margin-bottom:0}legend+label{margin-top:0}
.split{display:grid;grid-template-columns:minmax(0,1fr) 22rem;gap:0 2.5rem;align-items:start;margin-top:1.25rem}.split>aside{position:sticky;top:1rem}.split>aside>:first-child{margin-top:0}
.title{display:flex;flex-wrap:wrap;gap:0 1rem;align-items:center;justify-content:space-between}
label{display:block;font-weight:600;margin:.8rem 0 .25rem}label small,.check small{font-weight:400}.check{display:flex;gap:.6rem;align-items:flex-start;font-weight:400;margin:.15rem 0;padding:.25rem 0}.check input{flex:none;margin:.3rem 0 0;width:1.1rem;height:1.1rem}
input[type=text],input[type=password],textarea,select{width:100%;font:inherit;color:inherit;background:var(--back);border:1px solid var(--soft);border-radius:6px;padding:.5rem .6rem}
input[aria-invalid],textarea[aria-invalid]{border:2px solid var(--stop)}.fault{color:var(--stop);font-weight:600;margin:.25rem 0}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:0 1rem}
button,.button{font:inherit;font-weight:600;display:inline-block;padding:.55rem 1.1rem;min-height:2.75rem;border:1px solid var(--soft);border-radius:6px;background:var(--back);color:var(--ink);cursor:pointer;text-decoration:none}
button:hover,.button:hover{border-color:var(--ink)}.go{background:var(--go);border-color:var(--go);color:var(--back)}.no{color:var(--stop);border-color:var(--stop)}.hard{background:var(--stop);border-color:var(--stop);color:var(--back)}
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1rem}header button{padding:.2rem .7rem;min-height:2.25rem;font-weight:400}
.note{border-left:4px solid var(--warn);background:var(--tint);padding:.6rem 1rem;margin:1rem 0;border-radius:0 6px 6px 0}.note.good{border-color:var(--go);background:var(--card)}.note.bad{border-color:var(--stop)}.note ul{margin:.25rem 0;padding-left:1.1rem}
details{margin:1rem 0}summary{cursor:pointer;padding:.4rem 0;font-weight:600}.broken{border:4px double var(--stop);border-radius:8px;padding:0 1rem 1rem}.broken h1,.broken summary{color:var(--stop)}
.empty{padding:2.5rem 1rem;text-align:center;color:var(--soft);border:1px dashed var(--line);border-radius:8px}

.end{margin-left:auto;display:flex;flex-wrap:wrap;gap:.5rem}.lead{font-size:1.05rem;max-width:46rem;margin:.25rem 0 1rem}.gate{max-width:34rem;margin:12vh auto 0}.gate details{margin:1.5rem 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;margin:1rem 0 1.5rem;background:var(--line);border:1px solid var(--line);border-radius:8px;overflow:hidden}
.tile{background:var(--card);padding:.7rem .9rem;display:grid;align-content:start;gap:.1rem;min-width:0;border-top:3px solid transparent}.tile strong{font-size:1.25rem;line-height:1.3}.tile strong.word{font:600 .95rem/1.7 ui-monospace,monospace}h2.mono{font-size:1rem;font-weight:600}.tile>:first-child{font-size:.9rem;color:var(--soft)}.tile>a:first-child{color:var(--link)}.tile small{font-size:.85rem}.tile.warn{border-top-color:var(--warn)}.tile.bad{border-top-color:var(--stop)}
.scroll{overflow-x:auto;margin:.75rem 0}table{border-collapse:collapse;width:100%;font-size:.95rem}caption{position:absolute;left:-99rem}th,td{text-align:left;vertical-align:top;padding:.55rem 1rem .55rem 0;border-bottom:1px solid var(--line);font-weight:400;min-width:6rem;overflow-wrap:break-word}thead th{color:var(--soft);font-size:.85rem;white-space:nowrap;padding-top:.25rem}tbody th{min-width:14rem}tbody th a{font-weight:600}th small,td small{display:block}.figures{text-align:right;min-width:4rem}tbody tr:hover{background:var(--card)}
.timeline{list-style:none;margin:.75rem 0;padding:0}.timeline li{display:grid;grid-template-columns:5.5rem minmax(0,1fr) auto;gap:0 1rem;padding:.5rem 0 .5rem .9rem;border-left:3px solid var(--line);border-bottom:1px solid var(--line);align-items:baseline}.timeline time small,.timeline div small{display:block}.timeline time small{font-size:.8rem}.timeline .said{font-weight:600}.timeline a.mono{padding:.25rem 0}
.timeline .call{border-left-color:var(--link)}.timeline .approval{border-left-color:var(--warn)}.timeline .kill{border-left-color:var(--stop)}.timeline .credential{border-left-color:var(--go)}
.choice{display:flex;flex-wrap:wrap;gap:.25rem 1rem}.choice a{padding:.25rem 0}.choice a[aria-current]{font-weight:600;color:inherit;text-decoration:none;border-bottom:3px solid var(--link)}
.inline{display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:center;margin:1.5rem 0}.inline label{margin:0}.inline input{flex:1 1 16rem;max-width:26rem}
@media(min-width:40.01rem){.split dl{grid-template-columns:8.5rem 1fr}.split aside dl{grid-template-columns:6.5rem 1fr;font-size:.95rem}}.timeline time small{white-space:nowrap}
table.rows{width:100%;border-collapse:collapse;font-size:.95rem}.rows th,.rows td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line);min-width:0}.rows th{color:var(--soft);font-weight:600;white-space:nowrap}.rows small{display:block}.rows time{font-variant-numeric:tabular-nums}.rows time,.rows small a{white-space:nowrap}.rows tr:hover td{background:var(--card)}
.hide{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}.fields{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:0 1rem}.choices{display:flex;flex-wrap:wrap;gap:0 1.5rem;margin:0}.halves{display:grid;grid-template-columns:1fr 1fr;gap:0 2.5rem}.halves>*{min-width:0}
@media(max-width:60rem){.halves{grid-template-columns:minmax(0,1fr)}.rows thead{display:none}.rows,.rows tbody,.rows tr,.rows td{display:block}.rows tr{padding:.6rem 0;border-bottom:1px solid var(--line)}.rows td{border:0;padding:.1rem 0}.rows td:empty{display:none}.split{grid-template-columns:minmax(0,1fr)}.split>aside{position:static;margin-top:1.5rem}}
@media(max-width:40rem){header nav{order:1;flex:1 1 100%}header form{margin-left:auto}.timeline li{grid-template-columns:5rem minmax(0,1fr)}.timeline li>:last-child{grid-column:2}.end{margin-left:0}dl,.item,.pair{grid-template-columns:1fr}dt{border:0;padding-bottom:0;font-size:.9rem}dd{padding-top:0}.row>*{flex:1 1 100%;text-align:center}.list .list{margin-left:.25rem}}
@media print{.scroll{overflow:visible}header,form,.skip,.button,.screen{display:none}main{max-width:none;padding:0}details>*{display:block}:root{--ink:#000;--back:#fff;--soft:#333;--line:#999;--card:#fff;--tint:#fff}}
`
