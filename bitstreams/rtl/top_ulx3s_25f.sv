// ULX3S with its smaller part (LFE5U-25F): an engine of 4 lanes, behind the board's USB serial line.
module top_ulx3s_25f #(
  parameter int DIV = 20  // of the PLL's 60 MHz, to 3 Mbaud
) (
  input  logic clk_25mhz,
  input  logic ftdi_txd,
  output logic ftdi_rxd,
  output logic [7:0] led
);
  logic clk, locked, busy;
  pll u_pll (.clkin(clk_25mhz), .clkout0(clk), .locked);
  board #(.N(4), .NRQ(2), .BYL(0), .BXL(0), .DL(12), .WDL(9), .SUMSL(7), .FDL(9), .DSP(4), .ML(13), .DIV(DIV)) u_board (
    .clk, .rx(ftdi_txd), .tx(ftdi_rxd), .busy);
  assign led = {6'b0, locked, busy};
endmodule
