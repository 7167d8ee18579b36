// SPDX-License-Identifier: BSL-1.0

// An empty program: the cost of the start of any program, and of waiting for its end.

int main(void) { return 0; }
