// Package geo finds out where an address is and whose it is, in MaxMind DB files: city, ASN and anonymous IP databases, of
// MaxMind or of others, with nested records or flat ones.
//
// [Databases] holds the files and replaces them when they change; every decoder has a [Cache] in front of it.
package geo
