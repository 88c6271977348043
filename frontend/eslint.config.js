import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["dist", "dist-fixture", "node_modules", "src/lib/bindings"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node, __FIXTURE__: "readonly" } } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  {
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/ban-ts-comment": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "no-undef": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // Transcript text is text: nothing is ever rendered as markup.
      "svelte/no-at-html-tags": "error",
    },
  },
  {
    // State is raw maps that are replaced, not mutated: one change per message instead of one per entry.
    files: ["src/**/*.svelte.ts"],
    rules: { "svelte/prefer-svelte-reactivity": "off" },
  },
  {
    // The host is reached through client.ts alone, so the same screens run in the window and in a browser.
    files: ["src/**/*.{ts,svelte}"],
    ignores: ["src/lib/client.ts"],
    rules: { "no-restricted-imports": ["error", { patterns: [{ group: ["@tauri-apps/*"], message: "import it in client.ts only" }] }] },
  },
);
