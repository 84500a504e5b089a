/* look_fds: how look_diff() hands lazaret-look its work: argv[1], argv[2] the tree's cap in bytes
 * (0: no tree), and these fds. */
#ifndef LZ_LOOK_LOOK_FDS_H
#define LZ_LOOK_LOOK_FDS_H

enum { LOOK_FD_LATER = 3, LOOK_FD_ROWS, LOOK_FD_EARLIER, LOOK_FD_TREE };

#define LOOK_ARG_BOTH  "both"
#define LOOK_ARG_LATER "later" /* the earlier disk is an empty one, LOOK_FD_EARLIER is anything */

#endif
