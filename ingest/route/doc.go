// Package route learns the template of a path, such as /users/{id}/profile, from the path alone.
//
// Which segments are object ids is decided by how they look, one by one: the same path has the same template today, after
// a restart and on every machine, and no traffic can change it. In doubt a segment is an id: an id that is taken for a word
// gives every object a route of its own, and then nothing about the route can be learned or limited, while a word
// that is taken for an id only puts a few routes together.
package route
