// SPDX-License-Identifier: BSL-1.0

// What it costs to start any program and to see it end.

int main(void) { return 0; }
