// Package inventory knows which operations the OpenAPI 3 specifications of a deployment name, who owns them, what data they
// handle and when they should be gone, and finds the one that a request belongs to.
//
// A request belongs to an operation by its method and its path, which begins with the base path of one of the operation's
// servers. Where a concrete path and a template both fit, the concrete one counts, segment by segment; but a path that lacks the
// method gives way to one that has it. HEAD is answered by what is specified for GET, and OPTIONS by whatever the path has.
// Paths are compared as servers read them: percent signs decoded, empty segments, dots and matrix parameters (;v=1) left out.
// So nobody leaves an operation by spelling its path in another way.
package inventory
