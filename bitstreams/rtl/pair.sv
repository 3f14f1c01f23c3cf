// Two signed products of one byte x in 3 clocks, in one multiplier of 18 bits: x * (2^10 u + v + 128) has x * u above and
// x * (v + 128) below, which meet in 6 bits. What x * u is in them is known from its last 6 bits, which are cheap.
module pair (
  input  logic clk,
  input  logic signed [7:0] x, u, v,
  output logic signed [15:0] xu, xv
);
  // 1, 2
  /* verilator lint_off UNUSEDSIGNAL */
  logic [25:0] both;  // the last bits are the products'
  /* verilator lint_on UNUSEDSIGNAL */
  multiplier #(.A(8), .B(18)) u_both (.clk, .a(x), .b({u, 2'b00, ~v[7], v[6:0]}), .p(both));
  logic [7:0] x1;
  logic [5:0] u1, low2;
  logic [8:0] above2;  // 8 * low + x: what is to be taken from the bits 15..7 to leave x * v
  // Of logic: the last 6 bits of x * u.
  wire [5:0] low1 = ({6{x1[0]}} & u1) + {{5{x1[1]}} & u1[4:0], 1'b0} + {{4{x1[2]}} & u1[3:0], 2'b0}
    + {{3{x1[3]}} & u1[2:0], 3'b0} + {{2{x1[4]}} & u1[1:0], 4'b0} + {x1[5] & u1[0], 5'b0};
  always_ff @(posedge clk) begin
    x1 <= x;
    u1 <= u[5:0];
    low2 <= low1;
    above2 <= {low1, 3'b000} + {x1[7], x1};
  end
  // 3: the lower product's bits above 2^10, a signed number, are the common bits less the upper one's
  wire [5:0] over = both[15:10] - low2;
  wire [15:0] upper = both[25:10];
  always_ff @(posedge clk) begin
    xu <= upper - {{10{over[5]}}, over};
    xv <= {both[15:7] - above2, both[6:0]};
  end
endmodule
