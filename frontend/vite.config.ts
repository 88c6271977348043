import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `--mode fixture` compiles the made-up sessions in, for the browser tests; every other build drops them.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [svelte()],
  define: { __FIXTURE__: JSON.stringify(mode === "fixture" || mode === "test") },
  build: { target: ["es2022", "safari17.5"], modulePreload: { polyfill: false }, sourcemap: false },
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
  // Svelte's browser build has to be asked for: jsdom runs in node.
  ...(mode === "test" ? { resolve: { conditions: ["browser"] } } : {}),
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.ts"],
    setupFiles: ["src/test-setup.ts"],
    restoreMocks: true,
    // A machine that builds beside it is slow; a test that hangs still ends.
    testTimeout: 20_000,
  },
}));
