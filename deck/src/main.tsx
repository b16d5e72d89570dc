import { render } from "preact";
import { App } from "./app";
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/panels.css";
import { listen } from "./state/keys";
import { start } from "./state/link";

render(<App />, document.getElementById("deck")!);
listen();
start();
