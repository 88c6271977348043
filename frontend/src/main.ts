import { mount } from "svelte";
import App from "./App.svelte";
import { connect } from "./lib/client";
import "./styles/app.css";

const target = document.getElementById("app");
if (target === null) throw new Error("BUG: index.html has no #app");
const client = await connect();
mount(App, { target, props: { client } });
