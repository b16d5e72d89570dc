// Where the server has a key.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { post, ServerError } from "../api/http";
import { connect } from "../state/link";
import { Field } from "./parts";

export function Login(): JSX.Element {
  const [key, setKey] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      await post("/login", { key });
      setWrong(null);
      await connect();
    } catch (error) {
      setWrong(error instanceof ServerError && error.status === 401 ? "This is not the server's key." : String(error));
    }
  };
  return (
    <form class="login card" aria-label="Log in" onSubmit={send}>
      <h1>Tapedeck</h1>
      <p>This server has a key (TAPEDECK_API_KEY).</p>
      <Field label="Key">
        <input type="password" autocomplete="current-password" required value={key} onInput={(e) => setKey(e.currentTarget.value)} />
      </Field>
      {wrong && <p class="problem" role="alert">{wrong}</p>}
      <button type="submit" class="button main">Log in</button>
    </form>
  );
}
