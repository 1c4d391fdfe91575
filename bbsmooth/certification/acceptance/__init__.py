"""Acceptance tests: is the share of images that are right and certifiably robust at least q?

**The question.** Let p_i be the probability, under the noise, that the oracle gives image i its label, and p_R the
probability that radius R needs. An image with p_i > p_R is *good*: the smoothed classifier is right there and constant
in the ball of radius R (Cohen et al. 2019). The claim is that the share of good images in a population is at least q.
The class is fixed beforehand by the label, so no draw is spent on choosing one.

**Sampling.** Images come in a uniformly random order, without replacement, that the seed fixes. The draws of each come
from a stream of its own, which the order does not enter; the second of two equal images has another stream than the
first. So whether an image is good, and how its draws fall out, are independent of each other.

**One image.** Its votes are looked at one after the other. A test of p_i <= p_R at level a (`image_alpha`) certifies it
and a test of p_i > p_R at level b (`image_beta`) refutes it, as soon as either rejects, up to a cap. With
a' <= a and b' <= b the exact probabilities with which the boundaries are reached at p_R (the distance between drawn and
ideal noise added, or taken off):

    P[certified | not good, all before] <= a',     P[refuted | good, all before] <= b'.

An image may also be neither: at its cap, given up, or because the oracle refuses a draw. Such an image is no success
and no failure in what follows. It makes both answers later, and neither of them wrong.

**Showing** counts certified images S_t after t images. If the claim is false, at most K0 = ceil(q N) - 1 of the N
images are good. Let G_t = 1 where image t is good, and B_t independent with P[B_t = 1] = a'. By the first inequality
S_t can be built on one probability space with sum over u <= t of G_u + (1 - G_u) B_u, below which it stays. That sum is
largest in distribution with K0 good images, and then an exchangeable sequence: the one of drawing without replacement
from N tickets of which K0 + Bin(N - K0, a') win. The claim is shown as soon as S_t >= u_t. The set {s >= u_t} has
every larger s, so the probability of ever reaching it is at most that of the exchangeable sequence, which
`outer.crossing` computes exactly; u is chosen so that it is at most alpha. Where the images are themselves a random
sample of what the claim is about, N is infinite, and the sequence is one of independent trials with success probability
q + a' (1 - q).

**Refuting** counts refuted images T_t in the same way. If the claim is true, at most N - ceil(q N) images are not good,
and each good one is refuted with probability at most b': tickets N - ceil(q N) + Bin(ceil(q N), b'), or success
probability 1 - q + b' q. A refutation says that the *certifiable* share lies below q; the risk that it does not is at
most beta. It does not say that the images are vulnerable.

**Setting aside.** An image next to the radius takes most of the draws. It may be set aside after any of its votes, and
looked at again later, or never. Let S_t be the number of the first t images that would be certified if each were asked
until its own test ends. This S_t is the one above, whatever is asked when; what has been counted so far is never more.
So a boundary that is reached by the count so far, at any t, is reached by S_t too, and the probability of that is what
`outer.crossing` computes. The same holds for T_t. Which images are set aside (`pausing`) and when they come again
(`turns`) costs queries and never risk. It follows from the votes alone, so that everybody can do it again.

**Stopping.** Both statements are about ever reaching a boundary within the largest number of images. So whatever stops
earlier (the other answer, a budget, an interrupt, a kill) only lowers the two risks, and a run may go on later. What is
neither shown nor refuted by then is *not shown*, which claims nothing and has no risk.

**Several radii** have nested claims: an image that is good at R is good at every smaller radius. A radius counts as
shown only once every smaller one is, and as refuted only once every larger one is. Then a false answer needs the
boundary of the smallest radius whose claim is false (of the largest whose claim is true) to be reached, and no level is
divided (Maurer, Hothorn, Lehmacher 1995).

**Several groups** share the levels by Holm's procedure (1979): while k of G groups are fully shown, the others are
tested at alpha / (G - k); likewise for refutations and beta. Say m groups have a false claim. Before the first false
answer none of these is fully shown, so at most G - m groups are, and the level is at most alpha / m. The boundaries
of smaller levels lie above those of larger ones, so that a false answer needs one of m boundaries of level alpha / m to
be reached: probability at most alpha in all, however the groups depend on each other.
"""
