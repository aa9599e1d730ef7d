// Package lint holds the rules of this repository as tests.
//
// A rule that is not checked is not a rule. Here are the import table, the
// budgets of lines, the sentences of the packages, the links of the documents,
// the calls that are banned with what to use instead, and words that do not
// belong in the repository. `make lint` prints what was looked at.
//
// Exceptions stand in exceptions.txt, each with its measure and its reason.
// The list may only shrink: an exception that is no longer needed, or needed
// less, fails the test until it is removed or lowered.
//
// The package has no code outside of its tests.
package lint
