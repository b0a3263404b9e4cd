// A disputed item: keys, and words that are not lost.
import { hintOnButtons } from "./keys.js";
import { keepUnsent } from "./keeping.js";

keepUnsent();
hintOnButtons();
